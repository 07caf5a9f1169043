// Marks by keyboard: p pass, f fail, u clear, n note, on the focused or selected record.
//
// A record is an element with data-trial-id, inside one (or itself) with data-marks-url. What it
// shows of its mark: the attribute data-mark, and the texts of [data-mark-cell], [data-note-cell].
import { isTyping, post } from "./view.js";

const ACTIONS = { p: "pass", f: "fail", u: "clear", n: "note" };
const queues = new Map(); // changes of a record are sent one after the other
const latest = new Map(); // what the page last asked for, by record

const status = document.createElement("p");
status.className = "marks-status";
status.setAttribute("role", "status");
document.body.append(status);

function say(text, isBad = false) {
  status.textContent = text;
  status.classList.toggle("bad", isBad);
}

function recordOf(element) {
  const own = element && element.closest && element.closest("[data-trial-id]");
  return (
    own ||
    document.querySelector('[data-trial-id][aria-selected="true"]') ||
    document.querySelector("main [data-record][data-trial-id]")
  );
}

function text(record, name) {
  const cell = record.querySelector(`[data-${name}-cell]`);
  return cell ? cell.textContent : (record.dataset[name] || "");
}

function state(record) {
  return { mark: text(record, "mark") || null, note: text(record, "note") || null };
}

function show(record, { mark, note }) {
  record.dataset.mark = mark || "";
  record.dataset.note = note || "";
  for (const [name, value] of [["mark", mark], ["note", note]]) {
    const cell = record.querySelector(`[data-${name}-cell]`);
    if (cell) cell.textContent = value || "";
  }
  for (const button of record.querySelectorAll("[data-mark-action][aria-pressed]")) {
    button.setAttribute("aria-pressed", String(button.dataset.markAction === mark));
  }
}

// What is to be said once nothing is being saved any more: a failure, else of the change made last,
// since changes of several records may be answered in another order.
let asked = 0;
let pending = 0;
let last = { order: 0, words: "", isBad: false };

function begin() {
  if (!pending) last = { order: 0, words: "", isBad: false };
  pending += 1;
  asked += 1;
  say("saving …");
  return asked;
}

function end(order, words, isBad = false) {
  pending -= 1;
  if (isBad || (!last.isBad && order > last.order)) last = { order, words, isBad };
  if (last.isBad || !pending) say(last.words, last.isBad);
}

/** Shown at once, saved behind it; what was not saved is taken back and said. */
function change(record, wanted) {
  const id = record.dataset.trialId;
  const url = record.closest("[data-marks-url]").dataset.marksUrl;
  const before = state(record);
  const number = (latest.get(id)?.number || 0) + 1;
  const saved = latest.get(id)?.saved || before;
  latest.set(id, { number, saved });
  show(record, { ...before, ...wanted });
  const order = begin();
  const earlier = queues.get(id) || Promise.resolve();
  const done = earlier.then(async () => {
    try {
      const answer = await (await post(url, { trial_id: id, ...wanted })).json();
      const newest = latest.get(id);
      newest.saved = { mark: answer.mark, note: answer.note };
      if (newest.number === number) show(record, newest.saved);
      const what = answer.mark || (answer.note ? "note" : "no mark");
      if (answer.set_aside) end(Infinity, `saved: ${what}; the damaged file is ${answer.set_aside} now`);
      else end(order, `saved: ${what}`);
      document.dispatchEvent(new CustomEvent("marked", { detail: answer }));
    } catch (error) {
      const newest = latest.get(id);
      if (newest.number === number) show(record, newest.saved);
      end(order, `not saved: ${error.message.trim()}`, true);
    }
  });
  queues.set(id, done);
}

function writeNote(record) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-label", "Note on this record");
  const form = document.createElement("form");
  form.method = "dialog";
  const field = document.createElement("textarea");
  field.rows = 4;
  field.setAttribute("aria-label", "Note");
  field.value = state(record).note || "";
  const save = document.createElement("button");
  save.textContent = "Save";
  save.value = "save";
  const cancel = document.createElement("button");
  cancel.textContent = "Cancel";
  cancel.value = "cancel";
  form.append(field, save, cancel);
  dialog.append(form);
  document.body.append(dialog);
  const focused = document.activeElement;
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) dialog.close("save");
    if (event.key !== "Escape") event.stopPropagation();
  });
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "save") change(record, { note: field.value.trim() || null });
    dialog.remove();
    if (focused) focused.focus();
  });
  dialog.showModal();
}

function act(record, action) {
  if (action === "note") writeNote(record);
  else if (action === "clear") change(record, { mark: null, note: null });
  else change(record, { mark: action });
}

document.addEventListener("keydown", (event) => {
  const action = ACTIONS[event.key];
  if (!action || isTyping(event) || event.repeat || document.querySelector("dialog[open]")) return;
  const record = recordOf(event.target);
  if (!record || !record.closest("[data-marks-url]")) return;
  event.preventDefault();
  act(record, action);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-mark-action]");
  const record = button && recordOf(button);
  if (record) act(record, button.dataset.markAction);
});
