// What the reader has chosen: the axes, what is drawn, and what is hidden. It stands in the address behind the #,
// so that a link keeps it, and a page that is written anew, too.
const USUAL = { x: "evaluation", y: "auto", spread: "bands" };
const choices = { ...USUAL, hidden: new Set() };

function readChoices() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [name, usual] of Object.entries(USUAL)) {
    const options = document.querySelector(`select[name=${name}]`)?.options ?? [];
    const known = [...options].some((option) => option.value === given.get(name));
    choices[name] = known ? given.get(name) : usual;
  }
  choices.hidden = new Set(given.getAll("hide"));
}

function writeChoices() {
  const given = new URLSearchParams();
  for (const [name, usual] of Object.entries(USUAL)) {
    if (choices[name] !== usual) given.set(name, choices[name]);
  }
  for (const what of choices.hidden) given.append("hide", what);
  history.replaceState(null, "", `#${given}`);
}

// Something of a kind: a task, an optimizer, a projection, a value, or a group, which is one line of a legend.
function hide(kind, name, hidden) {
  choices.hidden[hidden ? "add" : "delete"](`${kind}:${name}`);
}

function isShown(kind, name) {
  return !choices.hidden.has(`${kind}:${name}`);
}

function isGroupShown(label) {
  const group = page.groups[label];
  if (!group) return true;
  return isShown("group", label) && isShown("optimizer", group.optimizer) && isShown("projection", group.projection);
}
