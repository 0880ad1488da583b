"use strict";
// Accessibility of the theme: clickable spans become buttons for keyboards, icons, which are words in the markup, are
// hidden from screen readers, and the content gets a landmark and a skip link.
{
  const clickable = "[x-on\\:click]";
  const icons = ".material-symbols-outlined";
  const native = "a[href], button, input, select, textarea, summary";
  const names = {
    schedule: "Start page", dock_to_right: "Menu", close: "Close",
    computer: "Colours", dark_mode: "Colours", light_mode: "Colours",
  };

  const own = (element) => element.textContent.trim().replace(/\s+/g, " ");

  /** Names a control that shows only an icon. */
  const nameIcon = (element) => {
    const icon = element.matches(icons) ? element : element.querySelector(icons);
    if (icon && own(icon) === own(element) && !element.matches("[aria-label], [aria-labelledby], [title]")) {
      element.setAttribute("aria-label", names[own(icon)] ?? own(icon).replaceAll("_", " "));
    }
  };

  /** True for a clickable element without a native control in or around it. */
  const isFakeButton = (element) => !element.matches(native) && !element.querySelector(native) && own(element) !== "";

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
    Object.assign(link, { href: `#${content.id}`, className: "hh-skip", textContent: "Skip to content" });
    link.addEventListener("click", (event) => { event.preventDefault(); content.focus(); });
    document.body.prepend(link);
  };

  document.addEventListener("DOMContentLoaded", () => {
    [...document.querySelectorAll(clickable)].filter(isFakeButton).forEach(makeButton);
    document.querySelectorAll("a[href], button, [role=button]").forEach(nameIcon);
    for (const icon of document.querySelectorAll(`${icons}:not([role=button])`)) {
      icon.setAttribute("aria-hidden", "true");
    }
    document.getElementById("main")?.setAttribute("role", "main");
    const content = document.getElementById("content");
    if (content) addSkipLink(content);
  });
}
