// What every page has: the theme button. Other modules import the helpers.

/** Ask the server for a change, with the token that only its own pages have. */
export async function post(url, body) {
  const token = document.querySelector('meta[name="csrf-token"]');
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", "x-csrf-token": token ? token.content : "" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error((await answer.text()) || answer.statusText);
  return answer;
}

/** Whether a key press is meant for a field that is being typed into. */
export function isTyping(event) {
  const field = event.target;
  return (
    event.ctrlKey || event.metaKey || event.altKey || field.isContentEditable ||
    ["INPUT", "TEXTAREA", "SELECT"].includes(field.tagName)
  );
}

/** Choices of a form apply at once, and its address says only what was chosen. */
export function watchForm(form) {
  for (const choice of form.querySelectorAll("select")) {
    choice.addEventListener("change", () => {
      // What is chosen now takes the place of all that was.
      for (const field of form.querySelectorAll("input[type=hidden]")) {
        if (field.name === choice.name) field.disabled = true;
      }
      form.requestSubmit();
    });
  }
  form.addEventListener("formdata", (event) => {
    for (const name of new Set(event.formData.keys())) {
      const values = event.formData.getAll(name).filter((value) => value !== "");
      event.formData.delete(name);
      for (const value of values) event.formData.append(name, value);
    }
  });
}

/** A form as it came with its page. */
export function resetForm(form) {
  form.reset();
  for (const field of form.querySelectorAll("input[type=hidden]")) field.disabled = false;
}

const THEMES = ["system", "light", "dark"];
const button = document.getElementById("theme");
function showTheme() {
  const theme = document.documentElement.dataset.theme || "system";
  button.textContent = `Theme: ${theme}`;
  return theme;
}
button.hidden = false;
showTheme();
button.addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(showTheme()) + 1) % THEMES.length];
  window.applyTheme(next === "system" ? null : next);
  try {
    if (next === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
  } catch {
    // As in theme.js.
  }
  showTheme();
});
