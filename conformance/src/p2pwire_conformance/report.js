"use strict";
const chosen = { verdict: "", group: "", text: "" };
const apply = () => {
  let any = false;
  for (const section of document.querySelectorAll("section")) {
    let some = false;
    for (const one of section.querySelectorAll(".case")) {
      const fits = (!chosen.group || section.dataset.group === chosen.group)
        && (!chosen.verdict || one.dataset.verdicts.split(" ").includes(chosen.verdict))
        && (!chosen.text || one.textContent.toLowerCase().includes(chosen.text));
      one.hidden = !fits;
      some ||= fits;
    }
    section.hidden = !some;
    any ||= some;
  }
  document.getElementById("nothing").hidden = any;
};
for (const button of document.querySelectorAll("button[data-filter]")) {
  button.addEventListener("click", () => {
    chosen.verdict = button.dataset.value;
    for (const other of document.querySelectorAll("button[data-filter]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    apply();
  });
}
document.querySelector("select").addEventListener("change", (event) => { chosen.group = event.target.value; apply(); });
document.querySelector("input").addEventListener("input", (event) => {
  chosen.text = event.target.value.trim().toLowerCase();
  apply();
});
// What is wrong comes first.
document.querySelector('button[data-value="red"]')?.click();
