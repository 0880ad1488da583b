"use strict";
// Buttons that copy the text of another element. Without scripts they stay hidden, and the text can be selected.
function offer(button) {
    if (!button.hidden) return;
    const source = document.getElementById(button.dataset.copies);
    const status = button.parentElement.querySelector("[role=status]");

    const select = () => {
        const range = document.createRange();
        range.selectNodeContents(source);
        const selection = getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
    };
    // The clipboard exists in secure contexts only, and a browser may deny it.
    const copy = async () => {
        try {
            await navigator.clipboard.writeText(source.textContent);
            return true;
        } catch {
            select();
            return document.execCommand("copy");
        }
    };

    button.hidden = false;
    button.addEventListener("click", async () => {
        status.textContent = (await copy()) ? "Copied." : "Selected. Copy it with the keyboard.";
    });
}

const within = (part) => part.querySelectorAll("[data-copies]").forEach(offer);
within(document);
// Parts added later, such as the result of a test call.
document.addEventListener("htmx:load", (event) => within(event.detail.elt));
document.addEventListener("hourhand:refreshed", (event) => within(event.detail));
