// Builds workflows: adds, moves, duplicates and removes the cards of steps, checks them while they are edited, and turns
// cards into YAML and back. The server reads the cards in the order of the page; without this script the YAML does it all.
const root = document.querySelector("[data-workflow]");
const form = root.closest("form");
const live = root.querySelector("[data-live]");
const cardsPart = root.querySelector("[data-cards]");
const text = document.getElementById("id_workflow-text");
const mode = () => form.elements["workflow-mode"].value;
const isWorkflow = () => form.elements.kind.value === "workflow";
let shown = mode();

// -- cards ------------------------------------------------------------------------------------------------------------

const idOf = (card) => card.querySelector("[name$=-id]");
const nameOf = (card) => idOf(card).value.trim() || "New step";
const ids = () => [...root.querySelectorAll("[data-step]")].map((card) => idOf(card).value.trim());
const unused = (wanted) => {
    const taken = ids();
    for (let number = 1; ; number += 1) {
        const id = number === 1 ? wanted : `${wanted}_${number}`;
        if (!taken.includes(id)) return id;
    }
};
const freshPrefix = (list) => {
    const numbers = [...list.querySelectorAll("[data-step]")].map((card) => Number(card.dataset.step.split("-")[1]));
    return `${list.dataset.steps}-${Math.max(-1, ...numbers) + 1}`;
};
const say = (words, undo) => {
    live.hidden = false;
    live.replaceChildren(words);
    if (!undo) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "hh-button";
    button.textContent = "Undo";
    button.addEventListener("click", undo);
    live.append(" ", button);
};
const update = () => {
    for (const list of root.querySelectorAll("[data-steps]")) {
        const cards = [...list.children];
        cards.forEach((card, at) => {
            card.querySelector("[data-step-name]").textContent = nameOf(card);
            card.querySelector("[data-step-group]").setAttribute("aria-label", `Step ${nameOf(card)}`);
            for (const button of card.querySelectorAll("[data-step-does]")) {
                button.setAttribute("aria-label", `${button.title} ${nameOf(card)}`);
            }
            card.querySelector("[data-step-does=up]").disabled = at === 0;
            card.querySelector("[data-step-does=down]").disabled = at === cards.length - 1;
        });
        for (const button of root.querySelectorAll(`[data-list="${list.dataset.steps}"]`)) {
            button.disabled = cards.length >= Number(list.dataset.most);
        }
    }
};
const added = (card, id) => {
    card.dispatchEvent(new CustomEvent("hourhand:added", { bubbles: true }));
    idOf(card).value = id;
    card.querySelector("details").open = true;
    update();
    idOf(card).focus();
    idOf(card).select();
    checkSoon();
};
const add = (type, list) => {
    const template = root.querySelector(`[data-new-step="${type}"]`);
    list.insertAdjacentHTML("beforeend", template.innerHTML.replaceAll("__step__", freshPrefix(list)));
    added(list.lastElementChild, unused({ http: "call", delay: "pause", webhook: "reply", approval: "approval" }[type]));
};

const NAMED = ["name", "id", "for", "href", "data-step", "data-rows", "data-adds-to", "aria-describedby"];
const duplicate = (card) => {
    const list = card.parentElement;
    const [from, to] = [card.dataset.step, freshPrefix(list)];
    const copy = card.cloneNode(true);
    for (const element of [copy, ...copy.querySelectorAll("*")]) {
        for (const name of NAMED) {
            const value = element.getAttribute(name);
            if (value?.startsWith(from) || value?.startsWith(`id_${from}`)) element.setAttribute(name, value.replace(from, to));
        }
    }
    const chosen = card.querySelectorAll("select"); // a clone has what was typed, but not what was selected
    copy.querySelectorAll("select").forEach((select, at) => { select.value = chosen[at].value; });
    card.after(copy);
    added(copy, unused(`${idOf(card).value.trim()}_copy`));
};
const move = (card, button, before) => {
    if (!before) return;
    card.parentElement.insertBefore(card, before === card ? null : before);
    update();
    (button.disabled ? card.querySelector("[data-step-does]:not(:disabled)") : button).focus();
    const cards = [...card.parentElement.children];
    say(`${nameOf(card)} is step ${cards.indexOf(card) + 1} of ${cards.length}.`);
};
const remove = (card) => {
    const [list, next] = [card.parentElement, card.nextElementSibling];
    const undo = () => {
        list.insertBefore(card, next?.parentElement === list ? next : null);
        update();
        say(`${nameOf(card)} is back.`);
        card.querySelector("summary").focus();
        checkSoon();
    };
    card.remove();
    update();
    say(`${nameOf(card)} is removed.`, undo);
    live.querySelector("button").focus();
};
const does = {
    up: (card, button) => move(card, button, card.previousElementSibling),
    down: (card, button) => move(card, button, card.nextElementSibling && (card.nextElementSibling.nextElementSibling ?? card)),
    duplicate,
    remove,
};

root.addEventListener("click", (event) => {
    const adder = event.target.closest("[data-adds-step]");
    if (adder) add(adder.dataset.addsStep, root.querySelector(`[data-steps="${adder.dataset.list}"]`));
    const button = event.target.closest("[data-step-does]");
    if (!button) return;
    does[button.dataset.stepDoes](button.closest("[data-step]"), button);
    checkSoon();
});

// -- the check --------------------------------------------------------------------------------------------------------

let timer = 0;
let latest = 0;
const ask = async (as) => {
    clearTimeout(timer);
    const number = ++latest;
    const fields = new URLSearchParams(new FormData(form));
    if (as) fields.set("workflow-mode", as === "yaml" ? "steps" : "yaml");
    const response = await fetch(`${root.dataset.check}${as ? `&as=${as}` : ""}`, {
        method: "POST", body: fields, credentials: "same-origin",
    });
    if (!response.ok) throw new Error(`The check answered ${response.status}.`);
    const answer = await response.json();
    return number === latest ? answer : null;
};
const clear = () => {
    for (const error of root.querySelectorAll("[data-checked]")) error.remove();
    for (const field of root.querySelectorAll("[aria-invalid][data-invalid]")) {
        field.removeAttribute("aria-invalid");
        delete field.dataset.invalid;
    }
};
const link = ({ element, label, detail }) => {
    const item = document.createElement("li");
    const anchor = document.createElement("a");
    anchor.className = "hh-link";
    anchor.href = `#${element}`;
    anchor.textContent = label;
    anchor.addEventListener("click", () => reveal(document.getElementById(element)));
    item.append(anchor, `: ${detail}`);
    return item;
};
const reveal = (field) => {
    for (let part = field; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
};
const show = (errors) => {
    clear();
    // What is still empty is reported by saving.
    const counted = errors.filter(({ element }) => document.getElementById(element)?.value !== "");
    for (const { element, detail } of counted) {
        const field = document.getElementById(element);
        const place = field?.closest(".hh-field");
        if (!place || mode() === "yaml") continue;
        const words = document.createElement("p");
        words.className = "hh-error";
        words.dataset.checked = "";
        words.textContent = detail;
        place.append(words);
        field.setAttribute("aria-invalid", "true");
        field.dataset.invalid = "";
    }
    if (!counted.length) {
        say(errors.length ? "" : "No errors.");
        live.hidden = errors.length > 0;
        return;
    }
    const list = document.createElement("ul");
    list.append(...counted.map(link));
    say(list);
};
const check = async () => {
    if (!isWorkflow()) return;
    try {
        const answer = await ask();
        if (answer && !live.querySelector("button")) show(answer.errors);
    } catch (error) {
        say(`Not checked: ${error.message}`);
    }
};
const checkSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(check, 400);
};
root.addEventListener("input", (event) => {
    if (event.target.name === "workflow-mode") return;
    live.querySelector("button")?.remove();
    update();
    checkSoon();
});
root.addEventListener("change", (event) => { if (event.target.name !== "workflow-mode") checkSoon(); });
form.addEventListener("formdata", ({ formData }) => { // the side that isn't edited would double the request
    const other = mode() === "yaml" ? /^(steps|finally)-/ : /^workflow-text$/;
    for (const name of [...formData.keys()]) if (other.test(name)) formData.delete(name);
});
form.addEventListener("submit", () => { clearTimeout(timer); latest += 1; });

// -- cards or YAML ----------------------------------------------------------------------------------------------------

const choose = (name) => {
    for (const radio of form.elements["workflow-mode"]) radio.checked = radio.value === name;
    shown = name;
};
root.addEventListener("change", async (event) => {
    if (event.target.name !== "workflow-mode") return;
    const to = mode();
    choose(shown); // until the other side has the same content
    try {
        const answer = await ask(to);
        if (!answer) return;
        if (to === "yaml") text.value = answer.text;
        else if (answer.cards === null) {
            show(answer.errors);
            return;
        } else {
            cardsPart.innerHTML = answer.cards;
            cardsPart.dispatchEvent(new CustomEvent("hourhand:added", { bubbles: true }));
        }
        choose(to);
        clear();
        update();
        checkSoon();
    } catch (error) {
        say(`Not changed: ${error.message}`);
    }
});

update();
