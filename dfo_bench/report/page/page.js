// The page follows the reader's choices.
function follow() {
  writeChoices();
  for (const select of document.querySelectorAll("select[name]")) select.value = choices[select.name];
  for (const box of document.querySelectorAll(".menu input")) box.checked = isShown(box.dataset.kind, box.dataset.name);
  for (const menu of document.querySelectorAll(".menu")) {
    const boxes = [...menu.querySelectorAll("input")];
    menu.querySelector(".count").textContent = `${boxes.filter((box) => box.checked).length} of ${boxes.length}`;
  }
  for (const button of document.querySelectorAll(".legend button")) {
    const group = page.groups[button.dataset.group];
    button.ariaPressed = String(isShown("group", button.dataset.group));
    button.hidden = !isShown("optimizer", group.optimizer) || !isShown("projection", group.projection);
  }
  for (const row of document.querySelectorAll("tbody tr")) {
    const groups = JSON.parse(row.dataset.groups ?? "[]");
    row.hidden = !groups.every(isGroupShown) || !isShown("task", row.dataset.task);
  }
  for (const head of document.querySelectorAll("th[data-group]")) {
    const hidden = !isGroupShown(head.dataset.group);
    for (const row of head.closest("table").rows) row.cells[head.cellIndex].hidden = hidden;
  }
  for (const section of document.querySelectorAll("section[data-task]")) {
    section.hidden = !isShown("task", section.dataset.task);
  }
  for (const figure of document.querySelectorAll("figure.curve")) {
    figure.hidden = !isShown("value", figure.dataset.value);
  }
  redrawCurves();
}

for (const select of document.querySelectorAll("select[name]")) {
  select.addEventListener("change", () => {
    choices[select.name] = select.value;
    follow();
  });
}
for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    hide("group", button.dataset.group, button.ariaPressed === "true");
    follow();
  });
}
for (const menu of document.querySelectorAll(".menu")) {
  const boxes = [...menu.querySelectorAll("input")];
  const set = (some, shown) => {
    some.forEach((box) => hide(box.dataset.kind, box.dataset.name, !shown));
    follow();
  };
  boxes.forEach((box) => box.addEventListener("change", () => set([box], box.checked)));
  menu.querySelector(".all").addEventListener("click", () => set(boxes, true));
  menu.querySelector(".none").addEventListener("click", () => set(boxes, false));
}
// A menu closes when the reader turns elsewhere.
function closeMenus(besides) {
  for (const menu of document.querySelectorAll(".menu[open]")) if (menu !== besides) menu.open = false;
}
addEventListener("click", (event) => closeMenus(event.target.closest(".menu")));
addEventListener("keydown", (event) => event.key === "Escape" && closeMenus(null));
addEventListener("hashchange", () => {
  readChoices();
  follow();
});

readChoices();
follow();
curves.forEach((curve) => near.observe(curve.figure));

// The file of an unfinished sweep is written anew while it is watched; an open menu is not torn away.
const refresh = Number(document.body.dataset.refresh);
if (refresh) {
  const stamp = document.querySelector(".stamp");
  stamp.textContent = `As of ${new Date(document.lastModified).toLocaleString()}; this page looks again every ${refresh} s.`;
  setInterval(() => document.querySelector(".menu[open]") || location.reload(), 1000 * refresh);
}
