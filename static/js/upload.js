// Says at once that a file is too large, before it travels. The server says the same.
document.querySelectorAll("[data-max-bytes]").forEach((input) => {
  input.addEventListener("change", () => {
    const tooLarge = input.files.length > 0 && input.files[0].size > Number(input.dataset.maxBytes);
    input.setCustomValidity(tooLarge ? input.dataset.tooLarge : "");
    input.classList.toggle("is-invalid", tooLarge);
    document.getElementById("file-error").textContent = tooLarge ? input.dataset.tooLarge : "";
  });
});
