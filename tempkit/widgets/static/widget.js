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
      const press = () => recorder.press();
      const view = new View(el, press, (isSeen) => recorder.see(view.show, isSeen));
      recorder.join(view.show);
      return () => {
        view.close();
        recorder.part(view.show);
      };
    },
  };
};
