// In the popup: tell the page that opened it where to go on, and close.
(() => {
  const outcome = document.querySelector("[data-connect-outcome]");
  new BroadcastChannel("connect-mailbox").postMessage(outcome.dataset.connectOutcome);
  window.close();
})();
