"use strict";
const MILLISECONDS = 2000;
const live = document.getElementById("live");
const connection = document.getElementById("connection");
let tag = "";

function age(seconds) {
  return seconds < 120 ? `${Math.round(seconds)} s ago` : `${Math.round(seconds / 60)} min ago`;
}

function showAges() {
  for (const time of live.querySelectorAll("time[data-written]")) {
    time.textContent = age(Math.max(0, Date.now() / 1000 - Number(time.dataset.written)));
  }
}

async function poll() {
  try {
    if (!document.hidden) {
      const answer = await fetch("live", { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} });
      if (answer.status === 200) {
        tag = answer.headers.get("ETag") || "";
        live.innerHTML = await answer.text();
      } else if (answer.status !== 304) {
        throw new Error(`status ${answer.status}`);
      }
      connection.textContent = "";
    }
  } catch (error) {
    connection.textContent = "smule-watch does not answer, so this page stands still. Start it again, and open its new link.";
  }
  showAges();
  setTimeout(poll, MILLISECONDS);
}

poll();
