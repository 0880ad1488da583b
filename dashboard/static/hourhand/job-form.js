// The form works without this script. It adds rows of assertions, and updates texts that repeat another field.
for (const button of document.querySelectorAll("[data-adds-to]")) {
    const prefix = button.dataset.addsTo;
    const rows = document.querySelector(`[data-rows="${prefix}"]`);
    const total = document.getElementById(`id_${prefix}-TOTAL_FORMS`);
    const template = button.parentElement.querySelector("template");
    const count = () => rows.querySelectorAll(":scope > div:not(:has([name$=-DELETE]:checked))").length;
    const update = () => { button.disabled = count() >= Number(button.dataset.most); };

    button.hidden = false;
    button.addEventListener("click", () => {
        rows.insertAdjacentHTML("beforeend", template.innerHTML.replaceAll("__prefix__", total.value));
        total.value = Number(total.value) + 1;
        rows.lastElementChild.querySelector("select").focus();
        update();
    });
    rows.addEventListener("change", update);
    update();
}

for (const echo of document.querySelectorAll("[data-shows]")) {
    const field = document.getElementById(echo.dataset.shows);
    field.addEventListener("input", () => { echo.textContent = field.value || "as above"; });
}
