"use strict";
// Lists work without this. With it, all rows of a page are selected at once, and their number is shown.
for (const form of document.querySelectorAll("form:has([data-ticks])")) {
    const ticks = [...document.querySelectorAll(`.hh-tick[form="${form.id}"]`)];
    const everything = form.elements.all;
    const button = form.querySelector("[data-ticks]");
    const told = form.querySelector("[data-ticked]");

    const follow = () => {
        const count = ticks.filter((tick) => tick.checked).length;
        told.textContent = everything?.checked ? "" : `${count} selected`;
        button.textContent = count === ticks.length ? "Select none" : "Select page";
        for (const tick of ticks) tick.disabled = Boolean(everything?.checked);
    };

    button.hidden = false;
    button.addEventListener("click", () => {
        const wanted = ticks.some((tick) => !tick.checked);
        for (const tick of ticks) tick.checked = wanted;
        follow();
    });
    for (const tick of ticks) tick.addEventListener("change", follow);
    everything?.addEventListener("change", follow);
    follow();
}
