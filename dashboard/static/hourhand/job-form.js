// The form works without this script. It adds rows of assertions and others, also within parts that are added later, and
// updates texts that repeat another field.
const rowsOf = (button) => document.querySelector(`[data-rows="${button.dataset.addsTo}"]`);
const limitRows = (button) => {
    const rows = rowsOf(button).querySelectorAll(":scope > div:not(:has([name$=-DELETE]:checked))");
    button.disabled = rows.length >= Number(button.dataset.most);
};
const prepareRows = (root) => {
    for (const scripted of root.querySelectorAll("[data-scripted]")) scripted.hidden = false;
    for (const button of root.querySelectorAll("[data-adds-to]")) limitRows(button);
};

document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-adds-to]");
    if (!button) return;
    const prefix = button.dataset.addsTo;
    const rows = rowsOf(button);
    const total = document.getElementById(`id_${prefix}-TOTAL_FORMS`);
    const template = button.dataset.row
        ? document.querySelector(`[data-new-row="${button.dataset.row}"]`)
        : button.parentElement.querySelector("template");
    const row = template.innerHTML.replaceAll("__rows__", prefix).replaceAll("__prefix__", total.value);
    rows.insertAdjacentHTML("beforeend", row);
    total.value = Number(total.value) + 1;
    rows.lastElementChild.querySelector("select, input").focus();
    rows.dispatchEvent(new Event("change", { bubbles: true }));
});
document.addEventListener("change", (event) => {
    const rows = event.target.closest("[data-rows]");
    const button = rows && document.querySelector(`[data-adds-to="${rows.dataset.rows}"]`);
    if (button) limitRows(button);
});
document.addEventListener("hourhand:added", (event) => prepareRows(event.target));
prepareRows(document);

for (const echo of document.querySelectorAll("[data-shows]")) {
    const field = document.getElementById(echo.dataset.shows);
    field.addEventListener("input", () => { echo.textContent = field.value || "as above"; });
}
