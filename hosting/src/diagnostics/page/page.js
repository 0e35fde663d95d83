"use strict";
(() => {
  const data = document.documentElement.dataset.path + "/data";
  const every = 1000, points = 180;
  const history = [];
  const at = (id) => document.getElementById(id);

  // Everything is put in as text; nothing that comes from outside is ever read as markup.
  const element = (name, text, kind) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const show = (id, text) => { at(id).textContent = text; };

  const count = (number) => Math.round(number).toLocaleString("en");
  const amount = (bytes) => {
    const units = ["B", "KB", "MB", "GB", "TB"];
    let unit = 0;
    while (bytes >= 1000 && unit < units.length - 1) { bytes /= 1000; unit += 1; }
    return (unit === 0 ? Math.round(bytes) : bytes.toFixed(bytes < 10 ? 2 : 1)) + " " + units[unit];
  };
  const span = (seconds) => {
    if (seconds < 0.001) return (seconds * 1e6).toFixed(0) + " µs";
    if (seconds < 1) return (seconds * 1000).toFixed(seconds < 0.01 ? 2 : 1) + " ms";
    if (seconds < 120) return seconds.toFixed(1) + " s";
    if (seconds < 7200) return Math.floor(seconds / 60) + " min " + Math.floor(seconds % 60) + " s";
    if (seconds < 172800) return Math.floor(seconds / 3600) + " h " + Math.floor(seconds % 3600 / 60) + " min";
    return Math.floor(seconds / 86400) + " days";
  };
  const rate = (number) => number.toFixed(number < 10 ? 1 : 0);
  const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC";

  const table = (id, columns, rows, nothing) => {
    const place = at(id);
    if (rows.length === 0) {
      place.replaceChildren(element("p", nothing, "note"));
      return;
    }
    const made = element("table"), head = element("tr");
    for (const [title, , kind] of columns) head.append(element("th", title, kind));
    const top = element("thead"), body = element("tbody");
    top.append(head);
    for (const row of rows) {
      const line = element("tr");
      for (const [, of, kind] of columns) {
        const value = of(row);
        const [text, extra] = Array.isArray(value) ? value : [value, ""];
        line.append(element("td", text, [kind, extra].filter(Boolean).join(" ")));
      }
      body.append(line);
    }
    made.append(top, body);
    const scrolled = place.scrollTop;
    place.replaceChildren(made);
    place.scrollTop = scrolled;
  };

  const svg = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  // Lines over the last minutes, the newest at the right edge.
  const plot = (id, lines, format) => {
    const place = at(id), width = 300, height = 110, bottom = 14, top = 12;
    place.setAttribute("viewBox", `0 0 ${width} ${height}`);
    place.setAttribute("preserveAspectRatio", "none");
    const known = lines.flat().filter((value) => value !== null);
    const most = Math.max(...known, 0) || 1;
    const y = (value) => top + (height - top - bottom) * (1 - value / most);
    const drawn = [0, 0.5, 1].map((part) =>
      svg("line", { x1: 0, x2: width, y1: y(most * part), y2: y(most * part), class: "grid" }));
    lines.forEach((line, index) => {
      let path = "", pen = "M";
      line.forEach((value, step) => {
        if (value === null) { pen = "M"; return; }
        const x = width - (line.length - 1 - step) * width / (points - 1);
        path += `${pen}${x.toFixed(1)} ${y(value).toFixed(1)}`;
        pen = "L";
      });
      if (path) drawn.push(svg("path", { d: path, class: "line " + (index === 0 ? "one" : "two") }));
    });
    place.replaceChildren(...drawn);
    place.setAttribute("data-most", format(most));
    place.parentElement.querySelector(".most")?.remove();
    const scale = element("small", "0 to " + format(most) + ", " + Math.round(points * every / 60000) + " minutes", "most note");
    place.after(scale);
  };

  // The bound within which this part of the durations lies, between two answers.
  const quantile = (bounds, before, after, part) => {
    const added = after.map((value, index) => value - before[index]);
    const all = added.reduce((sum, value) => sum + value, 0);
    if (all === 0) return null;
    let seen = 0;
    for (let index = 0; index < added.length; index += 1) {
      seen += added[index];
      if (seen >= part * all) return bounds[index] ?? bounds[bounds.length - 1];
    }
    return bounds[bounds.length - 1];
  };

  const draw = (now, before) => {
    const { totals } = now, old = before?.totals;
    const seconds = before ? now.uptime - before.uptime : 0;
    const step = { rate: null, mean: null, slow: null, connections: now.connections.count, received: null, sent: null };
    if (seconds > 0) {
      const requests = totals.requests - old.requests;
      step.rate = requests / seconds;
      if (requests > 0) step.mean = (totals.seconds - old.seconds) / requests;
      step.slow = quantile(totals.bounds, old.buckets, totals.buckets, 0.95);
      step.received = Math.max(0, totals.received - old.received) / seconds;
      step.sent = Math.max(0, totals.sent - old.sent) / seconds;
    }
    history.push(step);
    if (history.length > points) history.shift();
    const line = (key) => history.map((one) => one[key]);
    plot("plot-rate", [line("rate")], rate);
    plot("plot-duration", [line("mean"), line("slow")], span);
    plot("plot-connections", [line("connections")], count);
    plot("plot-bytes", [line("received"), line("sent")], amount);
    // Each value has the colour of its line.
    const values = (id, ...texts) =>
      at(id).replaceChildren(...texts.map((text, index) => element("b", text, index === 0 ? "one" : "two")));
    if (step.rate !== null) values("now-rate", rate(step.rate));
    values("now-connections", count(step.connections));
    if (step.mean === null) values("now-duration", "none");
    else values("now-duration", "mean " + span(step.mean), "95 % within " + span(step.slow ?? step.mean));
    if (step.sent !== null) values("now-bytes", "in " + amount(step.received), "out " + amount(step.sent));
  };

  const tell = (now) => {
    show("about", [now.application, now.environment, "process " + now.process, "up " + span(now.uptime)].filter(Boolean).join(" · "));
    const { totals } = now, list = [
      ["Requests", count(totals.requests)], ["Failed", count(totals.failed)], ["Aborted", count(totals.aborted)],
      ["Under way", count(now.requests.count)], ["Connections", count(totals.accepted)],
      ["Rejected", count(totals.rejected)], ["Received", amount(totals.received)], ["Sent", amount(totals.sent)],
    ];
    at("totals").replaceChildren(...list.map(([name, value]) => {
      const card = element("div"), pair = element("dl"), number = element("dd", value);
      number.id = "total-" + name.toLowerCase().replace(" ", "-");
      pair.append(element("dt", name), number);
      card.append(pair);
      return card;
    }));
    const some = (part) => part.count > part.rows.length ? `${count(part.count)}, the ${part.rows.length} oldest are shown` : count(part.count);
    show("requests-count", some(now.requests));
    show("connections-count", some(now.connections));
    table("endpoints", [["Name", (r) => r.name], ["Address", (r) => r.address], ["Protocols", (r) => r.protocols],
      ["TLS", (r) => r.tls ? "yes" : "no"], ["Connections", (r) => count(r.connections), "number"]], now.endpoints, "not known");
    table("requests", [["Method", (r) => r.method, "word"], ["Path", (r) => r.path], ["Version", (r) => r.version, "word"],
      ["Connection", (r) => r.connection, "word"], ["Age", (r) => span(r.age), "number"]], now.requests.rows, "none");
    table("connections", [["Connection", (r) => r.id, "word"], ["Peer", (r) => r.peer, "word"], ["Endpoint", (r) => r.endpoint],
      ["Protocol", (r) => [r.version, r.tls].filter(Boolean).join(", "), "word"], ["Phase", (r) => r.phase, "word"],
      ["Age", (r) => span(r.age), "number"], ["Requests", (r) => count(r.requests), "number"],
      ["Received", (r) => amount(r.received), "number"], ["Sent", (r) => amount(r.sent), "number"]], now.connections.rows, "none");
    const reasons = (id, counts) => table(id, [["Reason", ([reason]) => reason], ["Count", ([, number]) => count(number), "number"]],
      Object.entries(counts), "none");
    reasons("ended", now.ended);
    reasons("refused", now.refused);
    const ends = (r) => {
      if (r.error) return [r.error, "bad"];
      const left = (r.not_after * 1000 - Date.now()) / 86400000;
      if (left < 0) return [`${day(r.not_after)}, expired`, "bad"];
      return [`${day(r.not_after)}, in ${Math.floor(left)} days`, left < 14 ? "bad" : "good"];
    };
    table("certificates", [["For", (r) => r.what], ["Subject", (r) => r.subject], ["Names", (r) => r.names.join(", ")],
      ["Issuer", (r) => r.issuer], ["Valid until", ends]], now.certificates, "none");
    table("limits", [["Limit", (r) => r.name], ["Value", (r) => r.value, "number"]], now.limits, "not known");
    table("configuration", [["Key", (r) => r.key], ["Source", (r) => r.source]], now.configuration, "none");
  };

  let before = null;
  const ask = async () => {
    try {
      const answer = await fetch(data, { cache: "no-store", credentials: "omit" });
      if (!answer.ok) throw new Error("the server answers with " + answer.status);
      const now = await answer.json();
      // Another process has begun anew.
      if (before && (before.process !== now.process || before.uptime > now.uptime)) before = null;
      draw(now, before);
      tell(now);
      before = now;
      at("state").className = "";
      show("state", "as of " + new Date().toLocaleTimeString());
    } catch (error) {
      at("state").className = "bad";
      show("state", "no numbers: " + error.message);
    }
    setTimeout(ask, every);
  };
  ask();
})();
