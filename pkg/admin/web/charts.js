// charts: a line chart of the last two minutes of a figure.

const POINTS = 120;

export class Sparkline {
  #canvas;
  #values = [];

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** One value for each second. */
  push(value) {
    this.#values.push(value);
    if (this.#values.length > POINTS)
      this.#values.shift();
    this.draw();
  }

  clear() {
    this.#values = [];
    this.draw();
  }

  draw() {
    const canvas = this.#canvas, scale = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height)
      return;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    this.#drawLine(context, width, height, getComputedStyle(canvas).color);
  }

  #drawLine(context, width, height, color) {
    const values = this.#values, top = 3, bottom = height - 2;
    const most = Math.max(1e-9, ...values) * 1.08;
    const x = (i) => width - 4 - (values.length - 1 - i) * ((width - 4) / (POINTS - 1));
    const y = (value) => bottom - (value / most) * (bottom - top);
    context.strokeStyle = context.fillStyle = color;
    context.lineWidth = 1;
    context.globalAlpha = 0.18;
    context.fillRect(0, bottom, width, 1);
    if (values.length < 2)
      return;
    context.beginPath();
    values.forEach((value, i) => (i ? context.lineTo(x(i), y(value)) : context.moveTo(x(i), y(value))));
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.lineJoin = "round";
    context.stroke();
    context.lineTo(x(values.length - 1), bottom);
    context.lineTo(x(0), bottom);
    context.globalAlpha = 0.1;
    context.fill();
    context.globalAlpha = 1;
    context.beginPath();
    context.arc(x(values.length - 1), y(values.at(-1)), 2.5, 0, 2 * Math.PI);
    context.fill();
  }
}
