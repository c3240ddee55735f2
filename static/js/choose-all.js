// One box in a table's head that chooses all of its rows. Without JavaScript it stays hidden.
document.querySelectorAll("[data-choose-all]").forEach((box) => {
  const boxes = box.closest("form").querySelectorAll(`input[name="${box.dataset.chooseAll}"]`);
  if (boxes.length === 0) return;
  box.hidden = false;
  box.addEventListener("change", () => boxes.forEach((each) => { each.checked = box.checked; }));
  boxes.forEach((each) => each.addEventListener("change", () => {
    const chosen = [...boxes].filter((one) => one.checked).length;
    box.checked = chosen === boxes.length;
    box.indeterminate = chosen > 0 && chosen < boxes.length;
  }));
});
