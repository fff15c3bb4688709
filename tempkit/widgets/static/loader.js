// A widget is one text, the modules are many: each becomes an address of its own here. What Python
// writes before this text is `const MODULES = { name: text }`, each after those that it names.

const ADDRESSES = {};

for (const [name, text] of Object.entries(MODULES)) {
  const own = text.replaceAll(/'module:([^']+)'/g, (_, other) => `'${ADDRESSES[other]}'`);
  ADDRESSES[name] = URL.createObjectURL(new Blob([own], { type: 'text/javascript' }));
}

export default (await import(ADDRESSES['widget/widget.js'])).default;
