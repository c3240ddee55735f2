// Turns every textarea[data-editor] into a Quill editor; the textarea keeps the HTML and is what is submitted.
// Every button[data-token] puts its token where the person wrote last: into a field with data-tokens, or into an editor.
(() => {
  let insert = null;

  function writeInto(area) {
    const host = document.createElement("div");
    const surface = document.createElement("div");
    host.className = "editor";
    host.append(surface);
    area.after(host);
    area.hidden = true;
    const quill = new Quill(surface, {
      theme: "snow",
      modules: { toolbar: [["bold", "italic", "underline", "link"], [{ list: "bullet" }, { list: "ordered" }], ["clean"]] },
    });
    // Not dangerouslyPasteHTML(): it would take the focus.
    quill.setContents(quill.clipboard.convert({ html: area.value }), "silent");
    quill.root.setAttribute("role", "textbox");
    quill.root.setAttribute("aria-multiline", "true");
    quill.root.setAttribute("aria-label", document.querySelector(`label[for="${area.id}"]`)?.textContent.trim() ?? "Text");
    // Untouched text stays as it was stored: Quill keeps less than HTML can say.
    quill.on("text-change", () => {
      area.value = quill.getText().trim() || quill.root.querySelector("img") ? quill.getSemanticHTML().replaceAll("&nbsp;", " ") : "";
      area.dispatchEvent(new Event("input", { bubbles: true }));
    });
    const insertHere = (token) => {
      const at = quill.getSelection(true) ?? { index: quill.getLength() - 1, length: 0 };
      quill.deleteText(at.index, at.length, "user");
      quill.insertText(at.index, token, "user");
      quill.setSelection(at.index + token.length, 0, "user");
    };
    quill.root.addEventListener("focus", () => (insert = insertHere));
    insert ??= insertHere;
  }

  function insertInto(field, token) {
    field.setRangeText(token, field.selectionStart, field.selectionEnd, "end");
    field.focus();
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  document.querySelectorAll("textarea[data-editor]").forEach(writeInto);
  for (const field of document.querySelectorAll("input[data-tokens]")) {
    field.addEventListener("focus", () => (insert = (token) => insertInto(field, token)));
  }
  for (const button of document.querySelectorAll("button[data-token]")) {
    button.hidden = false;
    button.parentElement.querySelector("[data-without-script]").hidden = true;
    button.addEventListener("click", () => insert?.(button.dataset.token));
  }
})();
