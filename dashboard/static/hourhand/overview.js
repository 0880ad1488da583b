"use strict";
// The start page works without this. With it, its parts are fetched again every few seconds and put in place of the old
// ones: the page is not loaded anew, so it stays where it was scrolled to. A part is left alone while somebody is in it,
// and nothing is fetched while nobody looks.
const page = document.querySelector("[data-refreshes]");

if (page) {
    const told = page.querySelector("[data-refreshed]");
    const hold = page.querySelector("[data-holds]");
    let timer;

    const isInUse = (part) => {
        const selection = getSelection();
        return part.contains(document.activeElement) || (!selection.isCollapsed && part.contains(selection.anchorNode));
    };

    const replace = (part, fresh) => {
        const details = fresh.querySelectorAll("details");
        part.querySelectorAll("details").forEach((old, place) => { if (details[place]) details[place].open = old.open; });
        const scrolled = [...part.querySelectorAll(".hh-numbers")].map((old) => old.scrollTop);
        part.replaceWith(fresh);
        fresh.querySelectorAll(".hh-numbers").forEach((box, place) => { box.scrollTop = scrolled[place] ?? 0; });
    };

    const refresh = async () => {
        try {
            const answer = await fetch(page.dataset.refreshes, { redirect: "error" });
            if (!answer.ok) throw new Error(answer.status);
            const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
            for (const part of page.querySelectorAll("[data-part]")) {
                const next = fresh.getElementById(part.id);
                if (next && !isInUse(part)) replace(part, document.adoptNode(next));
            }
            told.textContent = `${new Date().toISOString().slice(11, 19)} UTC`;
            told.classList.remove("hh-stale");
        } catch {
            told.classList.add("hh-stale");
            told.title = "The page could not be refreshed. It is tried again; reload it if you were signed out.";
        }
        wait();
    };

    const wait = () => {
        clearTimeout(timer);
        if (!document.hidden && hold.ariaPressed !== "true") timer = setTimeout(refresh, Number(page.dataset.seconds) * 1000);
    };

    hold.hidden = false;
    hold.addEventListener("click", () => {
        hold.ariaPressed = String(hold.ariaPressed !== "true");
        wait();
    });
    document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else if (hold.ariaPressed !== "true") refresh(); });
    wait();
}
