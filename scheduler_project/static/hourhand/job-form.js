// The job's form works without this. With it, rows of assertions and overrides are added where they are wanted, texts
// that repeat another field follow it, and variables are inserted where the cursor is.
for (const button of document.querySelectorAll("[data-adds-to]")) {
    const prefix = button.dataset.addsTo;
    const rows = document.querySelector(`[data-rows="${prefix}"]`);
    const total = document.getElementById(`id_${prefix}-TOTAL_FORMS`);
    const template = button.parentElement.querySelector("template");
    const kept = () => rows.querySelectorAll(":scope > div:not(:has([name$=-DELETE]:checked))").length;
    const follow = () => { button.disabled = kept() >= Number(button.dataset.most); };

    button.hidden = false;
    button.addEventListener("click", () => {
        rows.insertAdjacentHTML("beforeend", template.innerHTML.replaceAll("__prefix__", total.value));
        total.value = Number(total.value) + 1;
        rows.lastElementChild.querySelector("select").focus();
        follow();
    });
    rows.addEventListener("change", follow);
    follow();
}

for (const echo of document.querySelectorAll("[data-shows]")) {
    const field = document.getElementById(echo.dataset.shows);
    field.addEventListener("input", () => { echo.textContent = field.value || "the job's time zone"; });
}

for (const list of document.querySelectorAll("[data-suggestions]")) {
    const fields = [...document.querySelectorAll("[data-takes-variables]")];
    let target = document.getElementById("id_body");
    const label = (field) => field.labels[0].textContent.replace("*", "").trim();
    const aim = (field) => {
        target = field;
        list.querySelector("[data-target]").textContent = label(field);
    };

    aim(target);
    list.querySelector("[data-scripted]").hidden = false;
    for (const field of fields) field.addEventListener("focus", () => aim(field));
    list.addEventListener("click", (event) => {
        const button = event.target.closest("[data-inserts]");
        if (!button) return;
        const { inserts, blank } = button.dataset;
        const start = target.selectionStart;
        target.focus();
        target.setRangeText(inserts, start, target.selectionEnd, "end");
        if (blank) {
            const from = start + inserts.indexOf(blank);
            target.setSelectionRange(from, from + blank.length);
        }
        target.dispatchEvent(new Event("input", { bubbles: true }));
    });
}
