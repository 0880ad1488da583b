"use strict";
// Adds the viewer's local time beside each instant, which without scripts is in the job's time zone only.
{
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const clock = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium" });
    const weekday = new Intl.DateTimeFormat("en", { weekday: "short" });

    const annotate = (root) => {
        for (const time of root.querySelectorAll("time[data-local]")) {
            const instant = new Date(time.dateTime);
            const own = clock.format(instant);
            const jobs = time.textContent.trim();
            if (time.nextElementSibling?.matches("[data-own]") || own === jobs) continue;
            const isSameDay = own.split(" ")[0] === jobs.split(" ")[0];
            const note = document.createElement("span");
            note.dataset.own = "";
            note.className = "hh-muted";
            note.textContent = `(${isSameDay ? "" : `${weekday.format(instant)} `}${own.split(" ")[1]})`;
            time.after(" ", note);
        }
        for (const legend of document.querySelectorAll("[data-local-zone]")) {
            legend.hidden = !document.querySelector("[data-own]");
            legend.querySelector("span").textContent = zone;
        }
    };

    document.addEventListener("DOMContentLoaded", () => annotate(document));
    document.addEventListener("htmx:afterSwap", (event) => annotate(event.target));
    document.addEventListener("hourhand:refreshed", (event) => annotate(event.detail));
}
