"use strict";
// Refreshes the parts of a page every few seconds, without a reload, so that the page keeps its scroll position. A part
// in use (focus, selection, an edited form) is left alone, and nothing is fetched while the page is hidden, or once a
// part says that nothing changes any more.
const page = document.querySelector("[data-refreshes]");

if (page) {
    const status = page.querySelector("[data-refreshed]");
    const pause = page.querySelector("[data-pauses-updates]");
    let timer;

    const isChanged = (field) => {
        if (field.matches("select")) return field.selectedIndex !== Math.max(0, [...field.options].findIndex((option) => option.defaultSelected));
        return field.matches("[type=checkbox]") ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;
    };
    const isEdited = (part) => [...part.querySelectorAll("input, textarea, select")].some(isChanged);

    const isInUse = (part) => {
        const selection = getSelection();
        return isEdited(part) || part.contains(document.activeElement) || (!selection.isCollapsed && part.contains(selection.anchorNode));
    };

    const replace = (part, fresh) => {
        const details = fresh.querySelectorAll("details");
        part.querySelectorAll("details").forEach((old, index) => { if (details[index]) details[index].open = old.open; });
        const scrolled = [...part.querySelectorAll(".hh-numbers")].map((old) => old.scrollTop);
        part.replaceWith(fresh);
        fresh.querySelectorAll(".hh-numbers").forEach((box, index) => { box.scrollTop = scrolled[index] ?? 0; });
        document.dispatchEvent(new CustomEvent("hourhand:refreshed", { detail: fresh }));
    };

    const refresh = async () => {
        try {
            const response = await fetch(page.dataset.refreshes, { redirect: "error" });
            if (!response.ok) throw new Error(response.status);
            const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
            for (const part of page.querySelectorAll("[data-part]")) {
                const next = fresh.getElementById(part.id);
                if (next && !isInUse(part)) replace(part, document.adoptNode(next));
            }
            status.textContent = `${new Date().toISOString().slice(11, 19)} UTC`;
            status.classList.remove("hh-stale");
        } catch {
            status.classList.add("hh-stale");
            status.title = "Refreshing failed and will be retried. Reload the page if you are signed out.";
        }
        wait();
    };

    const wait = () => {
        clearTimeout(timer);
        if (page.querySelector("[data-final]")) return;
        if (!document.hidden && pause.ariaPressed !== "true") timer = setTimeout(refresh, Number(page.dataset.seconds) * 1000);
    };

    pause.hidden = false;
    pause.addEventListener("click", () => {
        pause.ariaPressed = String(pause.ariaPressed !== "true");
        wait();
    });
    document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else if (pause.ariaPressed !== "true") refresh(); });
    wait();
}
