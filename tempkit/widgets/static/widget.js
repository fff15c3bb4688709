// The widget as Jupyter's front ends know it: one model, any number of views.

import { Recorder } from './recorder.js';
import { View } from './widget-view.js';

export default () => {
  let recorder;
  return {
    initialize({ model }) {
      recorder = new Recorder(model);
      return () => recorder.close();
    },
    render({ el }) {
      const view = new View(el, () => recorder.press());
      recorder.join(view.show);
      return () => recorder.part(view.show);
    },
  };
};
