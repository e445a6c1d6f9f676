// Copy buttons, and the seconds until a domain may be checked again. Every page works without this.
(() => {
  "use strict";

  const SHOWN_MS = 1800;

  async function copy(text) {
    if (navigator.clipboard && window.isSecureContext) {
      await navigator.clipboard.writeText(text);
      return;
    }
    // Plain http, as on a test installation, has no clipboard API.
    const field = document.createElement("textarea");
    field.value = text;
    field.readOnly = true;
    field.className = "offscreen";
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    if (!done) throw new Error("refused");
  }

  for (const button of document.querySelectorAll("button[data-copy]")) {
    const label = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      let said = "Copied";
      try {
        await copy(button.dataset.copy);
      } catch {
        said = "Select it by hand";
      }
      button.textContent = said;
      button.classList.toggle("done", said === "Copied");
      setTimeout(() => {
        button.textContent = label;
        button.classList.remove("done");
      }, SHOWN_MS);
    });
  }

  for (const button of document.querySelectorAll("button[data-wait]")) {
    const label = button.textContent;
    const until = performance.now() + Number(button.dataset.wait) * 1000;
    const tick = () => {
      const left = Math.ceil((until - performance.now()) / 1000);
      button.disabled = left > 0;
      button.textContent = left > 0 ? `${label} in ${left} s` : label;
      if (left > 0) setTimeout(tick, 250);
    };
    tick();
    for (const note of document.querySelectorAll(".wait-note")) note.hidden = true;
    button.form.addEventListener("submit", () => {
      button.disabled = true;
      button.textContent = "Checking…";
    });
    // Back to a page that the browser kept, button and all.
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) tick();
    });
  }
})();
