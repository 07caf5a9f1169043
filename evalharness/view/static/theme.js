"use strict";
// Before the page is drawn: the theme that was chosen, so that no other one flashes up.
(() => {
  const root = document.documentElement;
  const dark = document.getElementById("dark-style");
  const apply = (theme) => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    const media = { dark: "screen", light: "not all" };
    dark.media = media[theme] || "screen and (prefers-color-scheme: dark)";
  };
  let stored = null;
  try {
    stored = localStorage.getItem("theme");
  } catch {
    // Storage can be switched off; the theme then follows the system.
  }
  apply(stored === "dark" || stored === "light" ? stored : null);
  window.applyTheme = apply;
})();
