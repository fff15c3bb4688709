// A widget is one text, the page's modules are many: each becomes an address of its own here. The
// text that Python writes before this one is `const MODULES = { name: text }`, each after what it
// imports.

const ADDRESSES = {};

for (const [name, text] of Object.entries(MODULES)) {
  const own = text.replaceAll(/from '\.\/([\w-]+\.js)'/g, (_, other) => `from '${ADDRESSES[other]}'`);
  ADDRESSES[name] = URL.createObjectURL(new Blob([own], { type: 'text/javascript' }));
}

const { widget } = await import(ADDRESSES['widget.js']);

export default () => widget(ADDRESSES['audio-processor.js']);
