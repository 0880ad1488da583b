// Suggests variables and secrets in the fields that take them: a list on the page inserts at the cursor, and typing "{{"
// opens a list below the field. Both have names only; values of secrets never reach the page.
// Steps of a workflow can use what earlier steps returned. Fields can be added to the page at any time.
const panels = [...document.querySelectorAll("[data-suggestions]")];
const meant = ({ dataset, title }) => ({ text: dataset.inserts, blank: dataset.blank, meaning: title });
const suggestions = [...panels[0].querySelectorAll("[data-inserts]")].map(meant);

const stepVariables = (field) => {
    const list = field.closest("[data-steps]");
    const inCards = field.closest("[data-cards]");
    if (!inCards) return [];
    const cards = [...inCards.querySelectorAll("[data-step]")];
    const own = cards.indexOf(field.closest("[data-step]"));
    return cards.flatMap((card, at) => {
        const id = card.querySelector("[name$=-id]").value.trim();
        if (!id) return [];
        const inFinally = card.parentElement.dataset.steps === "finally";
        const variable = (name, meaning, blank = "") => ({ text: `{{steps.${id}.${name}}}`, meaning, blank });
        const waits = ["webhook", "approval"].includes(card.dataset.type);
        const url = waits ? [variable("resume_url", "URL that resumes this step")] : [];
        if (list ? at >= own : inFinally) return url; // the output sees all steps, and nothing of `finally`
        const names = [...card.querySelectorAll(".hh-extraction [name$=-name]")].map(({ value }) => value.trim()).filter(Boolean);
        return [
            ...names.map((name) => variable(name, `value that ${id} extracts`)),
            variable("status", `status of ${id}`),
            variable("json.PATH", `value in the JSON of ${id}`, "PATH"),
            variable("body", `answer of ${id} as text`),
            ...url,
        ];
    });
};
const suggestionsFor = (field) => [...stepVariables(field), ...suggestions];

const insert = (field, { text, blank }, from, to) => {
    field.focus();
    field.setRangeText(text, from, to, "end");
    if (blank) {
        const at = from + text.indexOf(blank);
        field.setSelectionRange(at, at + blank.length);
    }
    field.dispatchEvent(new Event("input", { bubbles: true }));
};

// -- the page's list --------------------------------------------------------------------------------------------------

let target = document.getElementById("id_body");
const setTarget = (field) => {
    target = field;
    for (const panel of panels) panel.querySelector("[data-target]").textContent = field.labels[0].textContent.replace("*", "").trim();
};
if (target) setTarget(target);
for (const panel of panels) {
    panel.querySelector("[data-scripted]").hidden = false;
    panel.addEventListener("click", (event) => {
        const button = event.target.closest("[data-inserts]");
        if (button && target?.isConnected) insert(target, meant(button), target.selectionStart, target.selectionEnd);
    });
}

// -- the list below a field -------------------------------------------------------------------------------------------

const popup = document.createElement("ul");
popup.id = "variables";
popup.className = "hh-popup";
popup.hidden = true;
popup.setAttribute("role", "listbox");
popup.setAttribute("aria-label", "Variables and secrets");
document.body.append(popup);
let open = null; // {field, start, options, chosen} while the list is open
let dismissed = -1; // position of the "{{" whose list was closed by Escape

const close = () => {
    if (!open) return;
    open.field.removeAttribute("aria-activedescendant");
    if (open.field.role === "combobox") open.field.setAttribute("aria-expanded", "false");
    popup.hidden = true;
    open = null;
};
const choose = (index) => {
    open.chosen = (index + open.options.length) % open.options.length;
    [...popup.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === open.chosen)));
    const option = popup.children[open.chosen];
    option.scrollIntoView({ block: "nearest" });
    open.field.setAttribute("aria-activedescendant", option.id);
};
const accept = () => {
    const { field, start, options, chosen } = open;
    const closing = /^\s*\}\}/.exec(field.value.slice(field.selectionEnd));
    close();
    insert(field, options[chosen], start, field.selectionEnd + (closing ? closing[0].length : 0));
};
const show = (field, start, options) => {
    popup.replaceChildren(...options.map(({ text, meaning }, at) => {
        const option = document.createElement("li");
        const code = document.createElement("code");
        const words = document.createElement("span");
        option.id = `variables-${at}`;
        option.setAttribute("role", "option");
        code.textContent = text;
        words.textContent = meaning;
        words.className = "hh-muted";
        option.append(code, words);
        return option;
    }));
    field.after(popup);
    popup.style.left = `${field.offsetLeft}px`;
    popup.style.top = `${field.offsetTop + field.offsetHeight + 4}px`;
    popup.hidden = false;
    if (field.role === "combobox") field.setAttribute("aria-expanded", "true");
    open = { field, start, options };
    choose(0);
};
const update = (field) => {
    close();
    const caret = field.selectionStart;
    const opening = caret === field.selectionEnd && /\{\{\s*([\w.]*)$/.exec(field.value.slice(0, caret));
    if (!opening || opening.index === dismissed) return;
    dismissed = -1;
    const typed = opening[1].toLowerCase();
    const options = suggestionsFor(field).filter(({ text }) => text.toLowerCase().includes(typed));
    options.sort((one, other) => other.text.startsWith(`{{${opening[1]}`) - one.text.startsWith(`{{${opening[1]}`));
    if (options.length) show(field, opening.index, options);
};

const keys = {
    ArrowDown: () => choose(open.chosen + 1),
    ArrowUp: () => choose(open.chosen - 1),
    Enter: accept,
    Escape: () => { dismissed = open.start; close(); },
};
popup.addEventListener("pointerdown", (event) => event.preventDefault()); // keep the focus in the field
popup.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (!option) return;
    choose([...popup.children].indexOf(option));
    accept();
});
const prepared = new WeakSet();
const prepare = (field) => {
    if (prepared.has(field)) return;
    prepared.add(field);
    field.setAttribute("aria-autocomplete", "list");
    field.setAttribute("aria-haspopup", "listbox");
    field.setAttribute("aria-controls", popup.id);
    if (field.tagName === "INPUT") { // a textarea can't have the role combobox
        field.role = "combobox";
        field.setAttribute("aria-expanded", "false");
    }
    field.addEventListener("focus", () => setTarget(field));
    field.addEventListener("blur", () => { dismissed = -1; close(); });
    field.addEventListener("input", () => update(field));
    field.addEventListener("keydown", (event) => {
        if (!open || event.isComposing) return;
        if (event.key in keys) {
            event.preventDefault();
            keys[event.key]();
        } else if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) close();
    });
};
const prepareAll = (root) => root.querySelectorAll("[data-takes-variables]").forEach(prepare);
document.addEventListener("hourhand:added", (event) => prepareAll(event.target));
prepareAll(document);
