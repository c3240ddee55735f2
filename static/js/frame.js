// Menus are <details> and open without this. With it they close on Escape, on a click elsewhere and when focus leaves.
(() => {
  const close = (menu, giveFocus) => {
    menu.open = false;
    if (giveFocus) menu.querySelector("summary").focus();
  };
  const opened = () => document.querySelectorAll("details.menu[open]");

  document.addEventListener("click", (event) => {
    for (const menu of opened()) if (!menu.contains(event.target)) close(menu, false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const menu of opened()) close(menu, menu.contains(document.activeElement));
  });
  document.addEventListener("focusin", (event) => {
    for (const menu of opened()) if (!menu.contains(event.target)) close(menu, false);
  });
})();

// On a phone the settings and tabs are a strip: show where one is.
for (const strip of document.querySelectorAll(".mainnav, .sidenav, .tabs")) {
  const here = strip.querySelector("[aria-current]");
  if (here) {
    const [outer, inner] = [strip.getBoundingClientRect(), here.getBoundingClientRect()];
    strip.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2;
  }
}
