// Filtering and unfolding. The page reads as well without it.
"use strict";
(() => {
  const tools = document.querySelector(".tools");
  if (!tools) return;
  tools.hidden = false;
  const steps = [...document.querySelectorAll(".step")].map((element) => ({
    element, text: element.textContent.toLowerCase(),
  }));
  const sections = [...document.querySelectorAll("section")].filter((section) => section.querySelector(".step"));
  const found = document.getElementById("found");
  const fold = (open) => {
    for (const { element } of steps) if (element.tagName === "DETAILS" && !element.hidden) element.open = open;
  };
  document.getElementById("filter").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    let number = 0;
    for (const { element, text } of steps) {
      element.hidden = !words.every((word) => text.includes(word));
      number += element.hidden ? 0 : 1;
    }
    for (const section of sections) section.hidden = !section.querySelector(".step:not([hidden])");
    found.textContent = words.length ? `${number} of ${steps.length} steps` : "";
  });
  document.getElementById("unfold").addEventListener("click", () => fold(true));
  document.getElementById("fold").addEventListener("click", () => fold(false));
  let before = [];
  addEventListener("beforeprint", () => {
    before = steps.filter(({ element }) => element.open === false);
    for (const { element } of before) element.open = true;
  });
  addEventListener("afterprint", () => {
    for (const { element } of before) element.open = false;
  });
})();
