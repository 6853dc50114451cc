// Keeps a page as its server has it now: asks for the same page again, and puts in place the parts that have changed.
"use strict";
(() => {
  const connection = document.getElementById("connection");
  let timer = 0;
  let asking = false;

  const seconds = (page) => Number(page.body.dataset.again || 0);

  const say = (text) => {
    if (connection.textContent !== text) connection.textContent = text;
  };

  // What its reader has open, ticked, selected or scrolled stays so.
  const isInUse = (part) => {
    const selection = document.getSelection();
    if (selection && !selection.isCollapsed && part.contains(selection.anchorNode)) return true;
    const active = document.activeElement;
    return active !== null && active !== part && part.contains(active) && active.matches("input, select, button, summary");
  };

  const atEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < 8;

  const replace = (part, fresh) => {
    const open = [...part.querySelectorAll("details[open]")].map((one) => one.id);
    const ticked = new Set([...part.querySelectorAll("input:checked")].map((one) => one.value));
    const focusable = "a, .log, .scroll";
    const focused = [...part.querySelectorAll(focusable)].indexOf(document.activeElement);
    const log = part.querySelector(".log");
    const place = log && !atEnd(log) ? log.scrollTop : null;
    part.replaceChildren(...fresh.childNodes);
    for (const id of open) {
      const one = part.querySelector("#" + CSS.escape(id));
      if (one) one.open = true;
    }
    for (const box of part.querySelectorAll("input[type=checkbox]")) box.checked = ticked.has(box.value);
    if (focused >= 0) part.querySelectorAll(focusable)[focused]?.focus({ preventScroll: true });
    toEnd(part, place);
  };

  const toEnd = (root, place) => {
    for (const log of root.querySelectorAll("#tail .log, .log:only-child")) {
      log.scrollTop = place === null || place === undefined ? log.scrollHeight : place;
    }
  };

  const take = (page) => {
    for (const fresh of page.querySelectorAll("[data-part]")) {
      const part = document.querySelector(`[data-part="${CSS.escape(fresh.dataset.part)}"]`);
      if (!part) {
        location.reload(); // a part that was not there before, as the curves with the first epoch
        return;
      }
      if (part.textContent !== fresh.textContent || part.innerHTML.length !== fresh.innerHTML.length) {
        if (!isInUse(part)) replace(part, fresh);
      }
    }
    document.title = page.title;
    document.body.dataset.again = page.body.dataset.again || "";
  };

  const ask = async () => {
    if (asking || document.hidden) return;
    asking = true;
    let pause = seconds(document);
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (answer.ok) {
        say("");
        take(page);
        pause = seconds(document);
      } else {
        const message = page.querySelector("[data-message]");
        const hint = page.querySelector("[data-hint]");
        const words = [message, hint].filter(Boolean).map((one) => one.textContent).join(" ");
        if (answer.status === 401) {
          say("This console has ended, and another one runs in its place. Open the link that it printed.");
          pause = 0;
        } else if (answer.status === 404) {
          say(words);
          pause = 0;
        } else {
          say(`${words} What is shown is as it was. Trying again.`);
          pause = Math.max(pause, 2);
        }
      }
    } catch {
      say("The console does not answer: has batchrl console ended? What is shown is as it was. Trying again.");
      pause = Math.max(pause, 2);
    }
    asking = false;
    if (pause) timer = setTimeout(ask, 1000 * pause);
  };

  const wake = () => {
    clearTimeout(timer);
    if (!document.hidden && seconds(document)) ask();
  };

  toEnd(document);
  if (seconds(document)) timer = setTimeout(document.body.dataset.status === "200" ? ask : () => location.reload(), 1000 * seconds(document));
  document.addEventListener("visibilitychange", wake);
})();
