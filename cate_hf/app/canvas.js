// The canvas on which an architecture is clicked together. Nodes are ordered from left to right, and edges lead to the
// right, so that whatever is drawn is a graph without circles. After every change the page gets it as JSON.
const svg = element.querySelector("svg");
const operation = element.querySelector("select");
const hint = element.querySelector(".hint");
const WIDTH = 440, HEIGHT = 260, HALF = 46, NS = "http://www.w3.org/2000/svg";
let nodes, edges, chosen;

function reset() {
  nodes = [{ operation: "input", x: HALF + 4, y: HEIGHT / 2 }, { operation: "output", x: WIDTH - HALF - 4, y: HEIGHT / 2 }];
  edges = []; // pairs of nodes
  chosen = null;
}

function isEnd(node) { return node.operation === "input" || node.operation === "output"; }

function ordered() { return [...nodes].sort((a, b) => a.x - b.x); }

function make(name, attributes, parent, text) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
}

function draw() {
  svg.querySelectorAll("g").forEach((group) => group.remove());
  const lines = make("g", {}, svg), boxes = make("g", {}, svg);
  for (const [a, b] of edges) {
    const [from, to] = a.x < b.x ? [a, b] : [b, a];
    const middle = (from.x + to.x) / 2;
    const path = `M${from.x + HALF},${from.y} C${middle},${from.y} ${middle},${to.y} ${to.x - HALF - 6},${to.y}`;
    make("path", { d: path, class: "edge", "marker-end": "url(#cate-arrow)" }, lines);
  }
  for (const node of nodes) {
    const box = make("g", { class: node === chosen ? "node chosen" : "node", tabindex: 0 }, boxes);
    make("rect", { x: node.x - HALF, y: node.y - 16, width: 2 * HALF, height: 32, rx: 7 }, box);
    make("text", { x: node.x, y: node.y + 4 }, box, node.operation.replace("-bn-relu", ""));
    box.addEventListener("click", (event) => { event.stopPropagation(); touch(node); });
    box.addEventListener("keydown", (event) => { if (event.key === "Enter") touch(node); });
  }
  hint.textContent = chosen
    ? "Click another node to join or part them; or change the operation, or remove it."
    : "Click an empty place for a node, then a node and another one for an edge.";
}

function touch(node) {
  if (chosen === null) chosen = node;
  else if (chosen === node) chosen = null;
  else {
    const there = edges.findIndex((edge) => edge.includes(node) && edge.includes(chosen));
    if (there >= 0) edges.splice(there, 1);
    else edges.push([chosen, node]);
    chosen = null;
    send();
  }
  draw();
}

function send() {
  const order = ordered();
  const adjacency = order.map(() => order.map(() => 0));
  for (const [a, b] of edges) {
    const [i, j] = [order.indexOf(a), order.indexOf(b)].sort((one, other) => one - other);
    adjacency[i][j] = 1;
  }
  trigger("input", { text: JSON.stringify({ operations: order.map((node) => node.operation), adjacency }) });
}

svg.addEventListener("click", (event) => {
  if (nodes.length >= 12) { hint.textContent = "Twelve nodes are as many as fit here."; return; }
  const box = svg.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * WIDTH, y = ((event.clientY - box.top) / box.height) * HEIGHT;
  const [left, right] = [nodes[0].x, nodes[1].x];
  chosen = null;
  nodes.push({
    operation: operation.value,
    x: Math.min(Math.max(x, left + 1), right - 1),
    y: Math.min(Math.max(y, 18), HEIGHT - 18),
  });
  draw();
  send();
});

operation.addEventListener("change", () => {
  if (chosen === null || isEnd(chosen)) return;
  chosen.operation = operation.value;
  draw();
  send();
});

element.querySelector(".remove").addEventListener("click", () => {
  if (chosen === null || isEnd(chosen)) return;
  nodes = nodes.filter((node) => node !== chosen);
  edges = edges.filter((edge) => !edge.includes(chosen));
  chosen = null;
  draw();
  send();
});

element.querySelector(".anew").addEventListener("click", () => { reset(); draw(); });

reset();
draw();
