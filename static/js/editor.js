// Turns every textarea[data-editor] into a Quill editor; the textarea keeps the HTML and is what is submitted.
(() => {
  for (const area of document.querySelectorAll("textarea[data-editor]")) {
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
    quill.clipboard.dangerouslyPasteHTML(area.value, "silent");
    quill.root.setAttribute("role", "textbox");
    quill.root.setAttribute("aria-multiline", "true");
    quill.root.setAttribute("aria-label", document.querySelector(`label[for="${area.id}"]`)?.textContent.trim() ?? "Text");
    // Untouched text stays as it was stored: Quill keeps less than HTML can say.
    quill.on("text-change", () => {
      area.value = quill.getText().trim() || quill.root.querySelector("img") ? quill.getSemanticHTML().replaceAll("&nbsp;", " ") : "";
    });
  }
})();
