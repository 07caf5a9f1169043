// The table of records by keyboard, its columns, and the scores that come later.
import { isTyping, resetForm, watchForm } from "./view.js";

let current = null; // id of the selected record
let address = location.pathname + location.search; // of the table that is shown
let newest = 0; // the last request for a table: answers to earlier ones are passed over

function filters() {
  return document.getElementById("filters");
}

function rows() {
  return Array.from(document.querySelectorAll("#records tbody tr"));
}

function select(row) {
  if (!row) return;
  for (const other of rows()) other.removeAttribute("aria-selected");
  row.setAttribute("aria-selected", "true");
  current = row.dataset.trialId;
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const place = all.findIndex((row) => row.dataset.trialId === current);
  const next = place < 0 ? 0 : Math.max(0, Math.min(place + step, all.length - 1));
  all[next].focus({ preventScroll: true });
  all[next].scrollIntoView({ block: "nearest" });
}

function open() {
  const row = rows().find((each) => each.dataset.trialId === current);
  if (row) row.querySelector("th a").click();
}

function turn(relation) {
  const link = document.querySelector(`.pager a[rel=${relation}]`);
  if (link) link.click();
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  "/": () => filters() && document.getElementById("search").select(),
  "[": () => turn("prev"),
  "]": () => turn("next"),
};

document.addEventListener("focusin", (event) => select(event.target.closest("#records tbody tr")));
document.addEventListener("click", (event) => {
  const row = event.target.closest("#records tbody tr");
  if (!row) return;
  // The address names the row that is left, so that the way back leads to it.
  if (event.target.closest("a")) history.replaceState(null, "", `#${encodeURIComponent(row.id)}`);
  else row.focus({ preventScroll: true });
});
document.addEventListener("keydown", (event) => {
  if (isTyping(event) || document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && event.target.matches("#records tbody tr")) {
    event.preventDefault();
    open();
  } else if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

/** Select the row that the address names: that of the record one comes back from. */
function selectNamed() {
  const id = location.hash.slice(1);
  const row = id && rows().find((each) => encodeURIComponent(each.id) === id || each.id === id);
  if (!row) return;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "center" });
}

function boxes(form) {
  return Array.from(form.querySelectorAll("input[name=column]"));
}

/** The columns of the boxes that are ticked, in the order they are shown in; none are the usual. */
function wantedColumns(form) {
  const usual = form.querySelector(".columns").dataset.usual.split(" ");
  const named = new URLSearchParams(address.split("?")[1]).getAll("column");
  const ticked = boxes(form).filter((box) => box.checked).map((box) => box.value);
  const shown = (named.length ? named : usual).filter((name) => ticked.includes(name));
  const wanted = [...shown, ...ticked.filter((name) => !shown.includes(name))];
  return wanted.join(" ") === usual.join(" ") ? [] : wanted;
}

function showColumns(form) {
  const query = new URLSearchParams(location.search);
  query.delete("column");
  for (const name of wantedColumns(form)) query.append("column", name);
  history.pushState(null, "", location.pathname + (query.size ? `?${query}` : ""));
  renew().then(startScores);
}

function watchFilters() {
  const form = filters();
  if (!form) return;
  watchForm(form);
  form.addEventListener("formdata", (event) => {
    event.formData.delete("column");
    for (const name of wantedColumns(form)) event.formData.append("column", name);
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "column") showColumns(form);
    else if (event.target.type === "checkbox") form.requestSubmit();
  });
}

/** The form of the fresh page; of one that is being typed into, the boxes of columns alone. */
function renewForm(fresh, isForced) {
  const form = filters();
  if (!isForced && form.contains(document.activeElement)) {
    for (const box of boxes(form)) {
      const other = boxes(fresh).find((each) => each.value === box.value);
      if (other) box.checked = box.defaultChecked = other.defaultChecked;
    }
    return;
  }
  const parts = fresh.querySelectorAll("details");
  form.querySelectorAll("details").forEach((part, at) => (parts[at].open ||= part.open));
  form.replaceWith(fresh);
  watchFilters();
}

/** Take over the page as it is now; what is being typed stays. */
async function renew(isForced = false) {
  const number = ++newest;
  const answer = await fetch(location.href);
  const text = await answer.text();
  if (number !== newest) return;
  address = location.pathname + location.search;
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const focused = document.activeElement && document.activeElement.closest("#records tbody tr");
  const part = document.getElementById("records-part");
  const freshPart = fresh.getElementById("records-part");
  if (part && freshPart) {
    renewForm(fresh.getElementById("filters"), isForced);
    part.replaceWith(freshPart);
  } else {
    document.getElementById("main").replaceChildren(...fresh.getElementById("main").childNodes);
    watchFilters();
  }
  const row = rows().find((each) => each.dataset.trialId === current);
  if (row && focused) row.focus({ preventScroll: true });
  else if (row) select(row);
  else if (!current) selectNamed();
}

async function waitForScores(place) {
  try {
    const answer = await fetch(place.dataset.url);
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    const { failure } = await answer.json();
    if (failure) throw new Error(failure);
    // Another table may be shown by now, which waits itself.
    if (place.isConnected) await renew();
  } catch (error) {
    place.textContent = `The scores did not come: ${error.message}`;
    place.classList.add("bad");
  }
}

function startScores() {
  const place = document.getElementById("scores");
  if (place && place.dataset.ask) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Compute them";
    button.addEventListener("click", () => {
      button.remove();
      place.textContent = "Scores are being computed";
      waitForScores(place);
    });
    place.append(" ", button);
  } else if (place && place.dataset.url) {
    waitForScores(place);
  }
}

watchFilters();
selectNamed();
startScores();
window.addEventListener("popstate", () => {
  if (address !== location.pathname + location.search) renew(true).then(startScores);
});
// A page that comes back from the history is as it was left; the address is its state.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  if (filters()) resetForm(filters());
  renew(true).then(startScores);
});
