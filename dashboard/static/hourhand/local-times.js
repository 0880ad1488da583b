"use strict";
// Says beside each instant what the viewer's own clock shows then. Without this, the job's clock and UTC are told.
{
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const clock = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium" });
    const weekday = new Intl.DateTimeFormat("en", { weekday: "short" });

    const tell = (root) => {
        for (const time of root.querySelectorAll("time[data-local]")) {
            const instant = new Date(time.dateTime);
            const own = clock.format(instant);
            const theirs = time.textContent.trim();
            if (time.nextElementSibling?.matches("[data-own]") || own === theirs) continue;
            const isSameDay = own.split(" ")[0] === theirs.split(" ")[0];
            const told = document.createElement("span");
            told.dataset.own = "";
            told.className = "hh-muted";
            told.textContent = `(${isSameDay ? "" : `${weekday.format(instant)} `}${own.split(" ")[1]})`;
            time.after(" ", told);
        }
        for (const note of document.querySelectorAll("[data-local-zone]")) {
            note.hidden = !document.querySelector("[data-own]");
            note.querySelector("span").textContent = zone;
        }
    };

    document.addEventListener("DOMContentLoaded", () => tell(document));
    document.addEventListener("htmx:afterSwap", (event) => tell(event.target));
}
