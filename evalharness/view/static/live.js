// The figures of a running run, as the server sends them; and what it is asked for.
import { post } from "./view.js";

const place = document.getElementById("live");
const connection = document.getElementById("connection");
const pause = document.getElementById("pause");
const resume = document.getElementById("resume");
const control = document.getElementById("control");
const fields = [...document.querySelectorAll("#limits input[name]")];
const noLimit = (field) => document.querySelector(`#limits input[data-key="${field.name}"]`);

/** Show the value that holds; null is no limit. */
function reset(field) {
  const box = noLimit(field);
  if (box) box.checked = field.dataset.was === "null";
  field.value = field.dataset.was === "null" ? "" : field.dataset.was;
}

/** Whether nothing was typed or ticked since the value was shown. */
function isUntouched(field) {
  const isNull = field.dataset.was === "null";
  const box = noLimit(field);
  return field.value === (isNull ? "" : field.dataset.was) && (!box || box.checked === isNull);
}

/** What a field asks for; undefined where it asks for nothing. An empty one stays as it is. */
function wanted(field) {
  const text = noLimit(field)?.checked ? "null" : field.value.trim();
  return text === "" || text === field.dataset.was ? undefined : text;
}

function show(figures) {
  for (const [name, text] of Object.entries(figures.texts)) {
    const field = document.getElementById(`live-${name}`);
    if (field && field.textContent !== text) field.textContent = text;
  }
  const share = document.getElementById("share");
  if (figures.share === null) share.removeAttribute("value");
  else share.value = figures.share;
  place.dataset.state = figures.state;
  if (pause) {
    pause.disabled = figures.state !== "running";
    resume.disabled = figures.state !== "paused";
  }
  if (control) control.hidden = figures.refuses !== null;
  const allow = document.getElementById("allow");
  if (allow) allow.hidden = figures.refuses !== null;
  const refuses = document.getElementById("refuses");
  refuses.hidden = figures.refuses === null;
  refuses.textContent = figures.refuses;
  for (const field of fields) {
    const value = figures.limits[field.name];
    if (value === undefined) continue;
    const untouched = field.dataset.was === undefined || isUntouched(field);
    field.dataset.was = value;
    field.placeholder = value === "null" ? "no limit" : value;
    if (untouched) reset(field);
  }
}

const events = new EventSource(place.dataset.events);
events.addEventListener("open", () => (connection.textContent = "connected"));
events.addEventListener("figures", (event) => {
  connection.textContent = "connected";
  show(JSON.parse(event.data));
});
events.addEventListener("failure", (event) => {
  connection.textContent = JSON.parse(event.data).message;
});
events.addEventListener("end", (event) => {
  show(JSON.parse(event.data));
  events.close();
  connection.textContent = "the run has ended";
  document.getElementById("over").hidden = false;
  if (control) control.hidden = true;
});
events.addEventListener("error", () => {
  connection.textContent =
    events.readyState === EventSource.CLOSED
      ? "the connection is closed; load the page again"
      : "the connection broke; trying again …";
});

async function request(command, values = {}) {
  const answer = document.getElementById("answer");
  const reason = document.getElementById("reason");
  answer.textContent = "waiting for the run …";
  try {
    const reply = await post(place.dataset.control, { command, values, reason: reason.value });
    answer.textContent = await reply.text();
    reason.value = "";
  } catch (error) {
    answer.textContent = error.message;
  }
}

if (pause) {
  pause.addEventListener("click", () => request("pause"));
  resume.addEventListener("click", () => request("resume"));
  document.getElementById("limits").addEventListener("submit", async (event) => {
    event.preventDefault();
    const asked = fields.map((field) => [field.name, wanted(field)]);
    const values = Object.fromEntries(asked.filter(([, value]) => value !== undefined));
    const empty = fields.filter((field) => wanted(field) === undefined);
    if (Object.keys(values).length) await request("set", values);
    else document.getElementById("answer").textContent = "no other limit is filled in";
    for (const field of empty) if (field.dataset.was !== undefined) reset(field);
  });
  for (const field of fields) {
    const box = noLimit(field);
    if (!box) continue;
    field.addEventListener("input", () => (box.checked = false));
    box.addEventListener("change", () => {
      if (box.checked) field.value = "";
    });
  }
}
