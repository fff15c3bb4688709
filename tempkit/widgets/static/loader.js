// A widget is one text, the modules are many: each becomes an address of its own here. What Python
// writes before this text is `const MODULES = { name: text }`, each after those that it names.

const ADDRESSES = {};

for (const [name, text] of Object.entries(MODULES)) {
  const own = text.replaceAll(/'module:([^']+)'/g, (_, other) => `'${ADDRESSES[other]}'`);
  ADDRESSES[name] = URL.createObjectURL(new Blob([own], { type: 'text/javascript' }));
}

const { default: widget } = await import(ADDRESSES['widget/widget.js']);

// What is imported needs its address no more; a worker or a worklet may be started until the end,
// with what it imports itself.
const texts = Object.values(MODULES).join();
const late = [];
for (const name of Object.keys(MODULES).reverse()) {
  const isStarted = texts.includes(`URL('module:${name}'`);
  if (isStarted || late.some((other) => MODULES[other].includes(`'module:${name}'`))) late.push(name);
}
const giveBack = (names) => names.forEach((name) => URL.revokeObjectURL(ADDRESSES[name]));
giveBack(Object.keys(MODULES).filter((name) => !late.includes(name)));

export default widget(() => giveBack(late));
