"use strict";
// Buttons that copy the text of another element. Without this they stay hidden, and the text is there to be selected.
function offer(button) {
    if (!button.hidden) return;
    const source = document.getElementById(button.dataset.copies);
    const told = button.parentElement.querySelector("[role=status]");

    const select = () => {
        const range = document.createRange();
        range.selectNodeContents(source);
        const selection = getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
    };
    // The clipboard is there in secure contexts only, and a browser may refuse it.
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
        told.textContent = (await copy()) ? "Copied." : "Selected: copy it with the keyboard.";
    });
}

const within = (part) => part.querySelectorAll("[data-copies]").forEach(offer);
within(document);
// What comes later, as the answer of a test call does.
document.addEventListener("htmx:load", (event) => within(event.detail.elt));
