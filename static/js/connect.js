// Connect Email in a popup. Where popups are blocked, and without JavaScript, the same form goes there in this page.
(() => {
  const POPUP = "connect-mailbox";
  let waiting = false;

  for (const form of document.querySelectorAll("form[data-connect]")) {
    form.addEventListener("submit", () => {
      const popup = window.open("", POPUP, "popup,width=520,height=720");
      waiting = Boolean(popup);
      form.target = popup ? POPUP : "_self";
      form.elements.popup.value = popup ? "yes" : "";
      for (const hint of document.querySelectorAll("[data-connect-hint]")) hint.hidden = !popup;
    });
  }

  // Microsoft's pages cut the popup from its opener, so it reports over a channel of our own origin.
  new BroadcastChannel(POPUP).addEventListener("message", (event) => {
    if (waiting && String(event.data).startsWith("/settings/mailbox/")) window.location.assign(event.data);
  });
})();
