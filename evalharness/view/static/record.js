// A record, or all outputs of a prompt, by keyboard: each key follows a link of the page.
import { isTyping } from "./view.js";

const LINKS = {
  j: "next", k: "previous", r: "tab-raw", m: "tab-markdown", d: "tab-diff",
  Escape: "back", Enter: "back",
};

document.addEventListener("keydown", (event) => {
  const link = document.getElementById(LINKS[event.key]);
  if (!link || isTyping(event) || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  // Enter belongs to what has the focus.
  if (event.key === "Enter" && event.target.closest("a, button, summary, [data-mark-action]")) return;
  event.preventDefault();
  link.click();
});

for (const form of document.querySelectorAll("form.filters")) {
  for (const select of form.querySelectorAll("select")) {
    select.addEventListener("change", () => form.requestSubmit());
  }
}
