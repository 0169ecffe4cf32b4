// A place to drop a file, which is also a button: what is too large is refused here and never sent.
function render({ model, el }) {
  const field = document.createElement("input");
  field.type = "file";
  field.id = "upload-" + Math.random().toString(36).slice(2);
  field.accept = model.get("kinds");
  const place = document.createElement("label");
  place.className = "drop";
  place.htmlFor = field.id;
  const told = document.createElement("span");
  const tell = () => { told.textContent = model.get("told"); };
  place.append(field, told);
  el.append(place);

  async function take(file) {
    if (!file) return;
    model.set("size", file.size);
    model.set("name", file.name);
    const bytes = file.size > model.get("largest") ? new ArrayBuffer(0) : await file.arrayBuffer();
    model.set("content", new DataView(bytes));
    model.set("times", model.get("times") + 1);
    model.save_changes();
    field.value = "";
  }
  field.addEventListener("change", () => take(field.files[0]));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    place.addEventListener(kind, (event) => {
      event.preventDefault();
      place.classList.toggle("over", kind === "dragover");
    });
  }
  place.addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
  model.on("change:told", tell);
  tell();
}
export default { render };
