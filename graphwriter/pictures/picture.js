"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (id) => document.getElementById(id);
  const COLOURS = ["#0f766e", "#b45309", "#6d28d9", "#be123c", "#1d4ed8", "#4d7c0f", "#a21caf", "#0e7490", "#92400e", "#475569"];
  const OTHERS = "#8a9199";
  const EDGES = {
    forwards: { colour: "#0f766e", style: "solid" }, replies: { colour: "#b45309", style: "dashed" },
    links: { colour: "#1d4ed8", style: "dotted" }, comments: { colour: "#a21caf", style: "dashed" },
    coforwards: { colour: "#6d28d9", style: "solid" }, "same content": { colour: "#687078", style: "dotted" },
  };
  const SLOW = 400; // nodes above which forces are too slow, and nodes are placed in a spiral

  // The groups with most nodes get a colour; chats are groups of their own, the largest first.
  const weight = new Map();
  for (const node of data.nodes) weight.set(node.group, (weight.get(node.group) || 0) + 1 + (node.kind === "channel" ? node.size : 0));
  const groups = [...weight.keys()].sort((a, b) => weight.get(b) - weight.get(a));
  const colour = new Map(groups.slice(0, COLOURS.length).map((group, i) => [group, COLOURS[i]]));
  const degree = new Map();
  for (const edge of data.edges) for (const end of [edge.source, edge.target]) degree.set(end, (degree.get(end) || 0) + edge.weight);
  const largest = Math.max(1, ...data.nodes.map((node) => degree.get(node.id) || 0));
  const heaviest = data.edges.reduce((most, edge) => Math.max(most, edge.weight), 1);

  const elements = [
    ...data.nodes.map((node) => ({ group: "nodes", data: {
      ...node, colour: colour.get(node.group) || OTHERS,
      width: 12 + 34 * Math.sqrt((degree.get(node.id) || 0) / largest) } })),
    ...data.edges.map((edge, i) => ({ group: "edges", data: {
      ...edge, id: `edge ${i}`, colour: (EDGES[edge.kind] || EDGES.forwards).colour,
      style: (EDGES[edge.kind] || EDGES.forwards).style, arrow: edge.kind === "coforwards" ? "none" : "triangle",
      width: 1.5 + 4.5 * Math.sqrt((edge.weight - 1) / Math.max(1, heaviest - 1)) } })),
  ];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const look = () => [
    { selector: "node", style: {
      "background-color": "data(colour)", width: "data(width)", height: "data(width)", label: "data(label)",
      "font-size": "mapData(width, 12, 46, 11, 30)", "min-zoomed-font-size": 8, color: dark.matches ? "#dfe3e6" : "#22262a",
      "text-valign": "bottom", "text-margin-y": 3, "text-max-width": 400, "text-wrap": "ellipsis",
      "text-background-color": dark.matches ? "#14171a" : "#f7f7f5", "text-background-opacity": 0.75 } },
    { selector: "node[kind = 'placeholder']", style: {
      "background-opacity": 0.15, "border-width": 1.5, "border-style": "dashed", "border-color": "data(colour)" } },
    { selector: "edge", style: {
      width: "data(width)", "line-color": "data(colour)", "line-style": "data(style)", "line-opacity": dark.matches ? 0.85 : 0.55,
      "target-arrow-color": "data(colour)", "target-arrow-shape": "data(arrow)", "arrow-scale": 0.8,
      "curve-style": data.nodes.length > SLOW ? "straight" : "bezier" } },
    { selector: ".faded", style: { opacity: 0.12 } },
    { selector: ".found", style: { "border-width": 4, "border-color": "#e11d48", "border-style": "solid" } },
  ];

  const many = data.nodes.length > SLOW;
  const tree = data.nodes.length > 1 && data.nodes.every((node) => node.kind !== "channel");
  const spiral = () => {
    // The most linked in the middle, every node at the golden angle from the one before.
    const order = [...data.nodes].sort((a, b) => (degree.get(b.id) || 0) - (degree.get(a.id) || 0));
    const places = new Map(order.map((node, i) => [node.id, {
      x: 34 * Math.sqrt(i) * Math.cos(2.399963 * i), y: 34 * Math.sqrt(i) * Math.sin(2.399963 * i) }]));
    return { name: "preset", positions: (node) => places.get(node.id()) };
  };
  const layout = many ? spiral()
    : tree ? { name: "cose", animate: false, nodeRepulsion: () => 9000, idealEdgeLength: () => 60, numIter: 400, randomize: true }
    : { name: "cose", animate: false, nodeRepulsion: () => 400000, idealEdgeLength: () => 120, numIter: 600, nodeOverlap: 20 };
  // Forces start from random places: a fixed sequence draws the same picture each time.
  let seed = 42;
  const random = Math.random;
  Math.random = () => ((seed = (seed * 16807) % 2147483647) / 2147483647);
  const graph = cytoscape({
    container: element("graph"), elements, style: look(), layout: { ...layout, padding: 60, fit: true },
    minZoom: 0.02, maxZoom: 5, hideEdgesOnViewport: many, textureOnViewport: many, pixelRatio: many ? 1 : "auto",
  });
  Math.random = random;
  const fit = () => {
    graph.fit(undefined, 60);
    if (graph.zoom() > 1.3) graph.zoom(1.3).center(); // few nodes need no whole screen
  };
  fit();
  dark.addEventListener("change", () => graph.style(look()));

  const number = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
  element("counts").textContent = `${number(data.nodes.length, "node")}, ${number(data.edges.length, "link")}`
    + (data.truncated ? "; a limit cut it" : "");

  const line = (mark, text) => {
    const row = document.createElement("div");
    row.append(mark, document.createTextNode(text));
    element("legend").append(row);
  };
  const names = new Map(data.nodes.filter((node) => node.kind === "channel").map((node) => [node.group, node.label]));
  for (const group of groups.slice(0, COLOURS.length)) {
    const mark = document.createElement("i");
    mark.style.background = colour.get(group);
    line(mark, names.get(group) || group);
  }
  if (groups.length > COLOURS.length) {
    const mark = document.createElement("i");
    mark.style.background = OTHERS;
    line(mark, `${groups.length - COLOURS.length} other chats`);
  }
  if (data.nodes.some((node) => node.kind === "placeholder")) {
    const mark = document.createElement("i");
    mark.className = "open";
    line(mark, "not ingested");
  }
  for (const kind of new Set(data.edges.map((edge) => edge.kind))) {
    const mark = document.createElement("b");
    mark.style.borderTop = `2px ${(EDGES[kind] || EDGES.forwards).style} ${(EDGES[kind] || EDGES.forwards).colour}`;
    line(mark, kind === "coforwards" ? "forwarded the same" : kind);
  }

  const show = (node) => {
    const card = element("card");
    const add = (tag, text) => {
      const part = document.createElement(tag);
      part.textContent = text;
      card.append(part);
      return part;
    };
    card.replaceChildren();
    add("h2", node.author && node.kind !== "channel" ? node.author : node.label);
    const close = add("button", "×");
    close.ariaLabel = "Close";
    close.onclick = () => { card.hidden = true; };
    add("p", [node.id, node.posted_at && node.posted_at.slice(0, 16).replace("T", " "),
      node.kind === "placeholder" && "not ingested",
      node.kind === "channel" && number(node.size, "post")].filter(Boolean).join(" · "));
    if (node.text) add("blockquote", node.text);
    const near = graph.getElementById(node.id).connectedEdges();
    const kinds = new Map();
    near.forEach((edge) => {
      const way = `${edge.data("kind")} ${edge.data("kind") === "coforwards" ? "with others" : edge.source().id() === node.id ? "of others" : "by others"}`;
      kinds.set(way, (kinds.get(way) || 0) + edge.data("weight"));
    });
    for (const [way, count] of kinds) add("p", `${count.toLocaleString("en")} ${way}`);
    if (node.url && /^https?:\/\//.test(node.url)) {
      const link = add("a", node.url);
      link.href = node.url;
      link.rel = "noreferrer noopener";
      link.target = "_blank";
    }
    card.hidden = false;
  };
  graph.on("tap", "node", (event) => {
    graph.batch(() => {
      graph.elements().addClass("faded");
      event.target.closedNeighborhood().removeClass("faded");
    });
    show(event.target.data());
  });
  graph.on("tap", (event) => {
    if (event.target !== graph) return;
    graph.elements().removeClass("faded");
    element("card").hidden = true;
  });
  element("fit").onclick = fit;
  element("search").oninput = () => {
    const words = element("search").value.trim().toLowerCase();
    graph.batch(() => {
      graph.nodes().removeClass("found");
      if (words) {
        graph.nodes().filter((node) => `${node.data("label")} ${node.id()} ${node.data("author") || ""} ${node.data("text") || ""}`
          .toLowerCase().includes(words)).addClass("found");
      }
    });
  };
  element("search").onkeydown = (event) => {
    const found = graph.nodes(".found");
    if (event.key === "Enter" && found.length) graph.fit(found, 120);
  };
  document.body.dataset.ready = "yes";
})();
