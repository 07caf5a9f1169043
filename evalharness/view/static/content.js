// The part of a page that takes seconds to compute is asked for by the page itself.

const place = document.getElementById("content");

function say(text) {
  const line = document.createElement("p");
  line.className = "note";
  line.setAttribute("role", "status");
  line.textContent = text;
  place.replaceChildren(line);
}

function finish() {
  // The report's own script makes its tables sortable.
  const script = document.createElement("script");
  script.src = "/static/report.js";
  document.body.append(script);
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) target.scrollIntoView();
}

async function load() {
  say("Computing the figures …");
  try {
    const answer = await fetch(place.dataset.url);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    const parsed = new DOMParser().parseFromString(text, "text/html");
    place.replaceChildren(...parsed.body.childNodes);
    finish();
  } catch (error) {
    say(`The figures did not come: ${error.message}`);
  }
}

if (place && place.dataset.wait) {
  say(`${place.dataset.wait}; its report would be of what is recorded by now.`);
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Compute it";
  button.addEventListener("click", load);
  place.append(button);
} else if (place && place.dataset.url) {
  load();
} else if (place) {
  finish();
}
