// The job's form works without this. With it, rows of assertions are added where they are wanted, and texts that repeat
// another field follow it.
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
