"use strict";
// What CloudWatch's console does with a custom widget: asks its function with a context, shows the HTML, and lets each
// <cwdb-action> call a function when the element before it is clicked, after a confirmation.
const asked = new URLSearchParams(location.search);
const widget = document.getElementById("widget");
let theme = asked.get("theme") === "dark" ? "dark" : "light";

function context() {
  const all = {};
  for (const field of widget.querySelectorAll("input[name], select[name]")) all[field.name] = field.value;
  const minutes = -new Date().getTimezoneOffset();
  const two = (number) => String(Math.floor(Math.abs(number))).padStart(2, "0");
  const offsetISO = `${minutes < 0 ? "-" : "+"}${two(minutes / 60)}:${two(minutes % 60)}`;
  return {
    dashboardName: "selfheal", widgetId: "widget-1", locale: navigator.language, theme,
    timezone: { label: "Local", offsetISO, offsetInMinutes: -minutes },
    forms: { all }, params: {}, width: Math.round(widget.clientWidth - 32), height: window.innerHeight,
  };
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Selfheal-Token": document.body.dataset.token },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
  return (await answer.json()).html;
}

function shown(id, fill) {
  const dialog = document.getElementById(id);
  fill(dialog.firstElementChild);
  dialog.showModal();
  return new Promise((resolve) => {
    for (const button of dialog.querySelectorAll("button")) {
      button.onclick = () => { dialog.close(); resolve(button.className === "yes"); };
    }
    dialog.oncancel = () => resolve(false);
  });
}

async function press(action) {
  const question = action.getAttribute("confirmation");
  if (question && !(await shown("ask", (element) => { element.textContent = question; }))) return;
  const call = { endpoint: action.getAttribute("endpoint"), request: JSON.parse(action.textContent), widgetContext: context() };
  let html;
  try { html = await post("/call", call); } catch (error) { html = ""; alertText(String(error)); return; }
  await shown("answer", (element) => { element.innerHTML = html; });
  await refresh();
}

function alertText(text) {
  shown("answer", (element) => { element.textContent = text; });
}

async function refresh() {
  document.body.className = theme;
  document.body.dataset.state = "asks";
  try {
    widget.innerHTML = await post("/widget", { widgetContext: context() });
    for (const action of widget.querySelectorAll("cwdb-action")) {
      const button = action.previousElementSibling;
      button.tabIndex = 0;
      button.onclick = () => press(action);
      button.onkeydown = (event) => { if (event.key === "Enter") press(action); };
    }
    document.body.dataset.state = "shown";
  } catch (error) {
    widget.textContent = String(error);
    document.body.dataset.state = "failed";
  }
}

document.getElementById("refresh").onclick = refresh;
document.getElementById("theme").onclick = () => { theme = theme === "dark" ? "light" : "dark"; refresh(); };
refresh();
