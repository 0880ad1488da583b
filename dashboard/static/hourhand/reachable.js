"use strict";
// The theme makes buttons of spans, which only a mouse can press, and writes icons as words, which screen readers read
// out. Here every one of them becomes a button that the keyboard reaches, icons fall silent, and the page's own part is
// its main landmark, a key press away.
{
  const pressed = "[x-on\\:click]";
  const icons = ".material-symbols-outlined";
  const native = "a[href], button, input, select, textarea, summary";
  const names = {
    schedule: "Start page", dock_to_right: "Menu", close: "Close",
    computer: "Colours", dark_mode: "Colours", light_mode: "Colours",
  };

  const own = (element) => element.textContent.trim().replace(/\s+/g, " ");

  /** What shows nothing but an icon is called by what it does. */
  const callByName = (element) => {
    const icon = element.matches(icons) ? element : element.querySelector(icons);
    if (icon && own(icon) === own(element) && !element.matches("[aria-label], [aria-labelledby], [title]")) {
      element.setAttribute("aria-label", names[own(icon)] ?? own(icon).replaceAll("_", " "));
    }
  };

  /** Whether it is a button in all but name: it can be pressed, and holds nothing that can be pressed by itself. */
  const isPressed = (element) => !element.matches(native) && !element.querySelector(native) && own(element) !== "";

  const makeButton = (element) => {
    element.setAttribute("role", "button");
    element.tabIndex = 0;
    element.addEventListener("keydown", (event) => {
      if (event.target === element && (event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        element.click();
      }
    });
  };

  const addSkipLink = (content) => {
    content.tabIndex = -1;
    const link = document.createElement("a");
    Object.assign(link, { href: `#${content.id}`, className: "hh-skip", textContent: "Skip to the page" });
    link.addEventListener("click", (event) => { event.preventDefault(); content.focus(); });
    document.body.prepend(link);
  };

  document.addEventListener("DOMContentLoaded", () => {
    [...document.querySelectorAll(pressed)].filter(isPressed).forEach(makeButton);
    document.querySelectorAll("a[href], button, [role=button]").forEach(callByName);
    for (const icon of document.querySelectorAll(`${icons}:not([role=button])`)) {
      icon.setAttribute("aria-hidden", "true");
    }
    document.getElementById("main")?.setAttribute("role", "main");
    const content = document.getElementById("content");
    if (content) addSkipLink(content);
  });
}
