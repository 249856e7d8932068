// Lists the operations of ../_openapi.json and sends requests to them. Text from the document and from answers is
// only ever set as text, never as markup. The token lives in this module's memory and nowhere else.

const state = { document: null, base: null, token: "", refresh: [] };

const byId = (id) => document.getElementById(id);

/** An element with attributes (functions become listeners) and children (strings become text). */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(key, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// ---- reading the document

/** What a `$ref` within the document stands for; other values are themselves. */
function resolve(value) {
  let seen = 0;
  while (value && typeof value.$ref === "string" && seen++ < 20) {
    value = value.$ref.replace(/^#\//, "").split("/").reduce(
      (part, key) => part?.[decodeURIComponent(key).replaceAll("~1", "/").replaceAll("~0", "~")], state.document);
  }
  return value ?? {};
}

/** The member of a nullable or ambiguous schema that a form asks for: the first that is not null. */
function concrete(schema) {
  const found = resolve(schema);
  const choices = found.anyOf ?? found.oneOf;
  if (!choices) return found;
  return concrete(choices.find((choice) => resolve(choice).type !== "null") ?? {});
}

/** An example that fits `schema`; `depth` ends what refers to itself. */
function example(schema, depth = 0) {
  const outer = resolve(schema);
  for (const key of ["example", "default", "const"]) if (outer[key] !== undefined) return outer[key];
  if (Array.isArray(outer.examples) && outer.examples.length) return outer.examples[0];
  const found = concrete(outer);
  if (found.const !== undefined) return found.const;
  if (found.enum?.length) return found.enum[0];
  const type = Array.isArray(found.type) ? found.type.find((one) => one !== "null") : found.type;
  if (type === "object" || found.properties) {
    const made = {};
    if (depth < 5) for (const [name, part] of Object.entries(found.properties ?? {})) made[name] = example(part, depth + 1);
    return made;
  }
  if (type === "array") {
    if (found.prefixItems) return found.prefixItems.map((part) => example(part, depth + 1));
    return depth < 5 && found.items ? Array(Math.max(1, found.minItems ?? 1)).fill(example(found.items, depth + 1)) : [];
  }
  if (type === "integer" || type === "number") return smallest(found, type === "integer" ? 1 : 0.1);
  if (type === "boolean") return false;
  if (type === "string") return exampleText(found);
  return null;
}

function smallest(schema, step) {
  if (schema.minimum !== undefined) return schema.minimum;
  if (schema.exclusiveMinimum !== undefined) return schema.exclusiveMinimum + step;
  return Math.min(0, schema.maximum ?? 0, (schema.exclusiveMaximum ?? step) - step);
}

function exampleText(schema) {
  const now = new Date();
  switch (schema.format) {
    case "date-time": return now.toISOString();
    case "date": return now.toISOString().slice(0, 10);
    case "time": return "12:00:00Z";
    case "duration": return "PT1H";
    case "uuid": return "00000000-0000-4000-8000-000000000000";
    case "email": return "name@example.com";
    case "uri": return "https://example.com";
    case "decimal": return "0";
  }
  if (schema.contentEncoding === "base64") return "";
  return "string".padEnd(schema.minLength ?? 0, "g").slice(0, schema.maxLength ?? undefined);
}

function operationsOf(description) {
  const found = [];
  for (const [path, item] of Object.entries(description.paths ?? {})) {
    for (const method of ["get", "post", "put", "patch", "delete", "head", "options"]) {
      if (!item[method]) continue;
      const operation = item[method];
      found.push({
        id: operation.operationId ?? `${method}-${path}`,
        method, path,
        tag: operation.tags?.[0] ?? "",
        summary: operation.summary ?? "",
        description: operation.description ?? "",
        parameters: [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(resolve),
        body: operation.requestBody ? resolve(operation.requestBody) : null,
        responses: operation.responses ?? {},
        security: operation.security ?? description.security ?? [],
      });
    }
  }
  return found;
}

/** An operation that trades a user name and a password for an access token, whatever its path is. */
function signsIn(operation) {
  const asked = concrete(operation.body?.content?.["application/json"]?.schema).properties ?? {};
  const ok = Object.entries(operation.responses).find(([status]) => status.startsWith("2"));
  const answered = concrete(resolve(ok?.[1]).content?.["application/json"]?.schema).properties ?? {};
  return "username" in asked && "password" in asked && "access_token" in answered;
}

// ---- the token

function setToken(token, text) {
  state.token = token;
  byId("token").value = token;
  byId("identity-state").textContent =
    text ?? (token ? "Requests that need a caller carry this token." : "Nobody is signed in. A token stays in this page's memory only.");
  state.refresh.forEach((refresh) => refresh());
}

function prepareIdentity(operations) {
  if (!operations.some((operation) => operation.security.length)) return;
  byId("identity").hidden = false;
  byId("token").addEventListener("input", (event) => {
    state.token = event.target.value.trim();
    state.refresh.forEach((refresh) => refresh());
  });
  byId("bearer").addEventListener("submit", (event) => event.preventDefault());
  byId("forget").addEventListener("click", () => { setToken(""); byId("token").focus(); });
  const entrance = operations.find(signsIn);
  if (!entrance) return;
  const form = byId("sign-in");
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const username = byId("username").value;
    try {
      const response = await fetch(new URL(state.base + entrance.path), {
        method: entrance.method.toUpperCase(),
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ username, password: byId("password").value }),
        credentials: "omit", cache: "no-store",
      });
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.detail ?? answer.title ?? `The answer was ${response.status}.`);
      byId("password").value = "";
      setToken(answer.access_token, `Signed in as ${username}.`);
    } catch (error) {
      byId("identity-state").textContent = `Not signed in: ${error.message}`;
    }
  });
}

// ---- the form of an operation

function hint(schema) {
  const type = Array.isArray(schema.type) ? schema.type.filter((one) => one !== "null").join(" or ") : schema.type;
  const parts = [schema.format ?? type ?? ""];
  const from = schema.minimum ?? schema.exclusiveMinimum;
  const to = schema.maximum ?? schema.exclusiveMaximum;
  if (from !== undefined || to !== undefined) parts.push(`${from ?? "…"} to ${to ?? "…"}`);
  if (schema.minLength !== undefined || schema.maxLength !== undefined) {
    parts.push(`${schema.minLength ?? 0} to ${schema.maxLength ?? "…"} characters`);
  }
  if (schema.pattern) parts.push(schema.pattern);
  return parts.filter(Boolean).join(", ");
}

/** The input for a parameter, and a function that reads it as a list of texts. */
function field(operation, parameter) {
  const schema = concrete(parameter.schema);
  const id = `${operation.id}-${parameter.in}-${parameter.name}`;
  const many = schema.type === "array";
  const item = many ? concrete(schema.items) : schema;
  const noteId = `${id}-note`;
  const shared = { id, required: parameter.required, "aria-describedby": noteId };
  let input;
  if (item.enum || item.type === "boolean") {
    const values = item.enum ?? [true, false];
    input = el("select", { ...shared, multiple: many },
      many ? null : el("option", { value: "" }, parameter.required ? "choose" : "not sent"),
      ...values.map((value) => el("option", { value, selected: value === schema.default }, String(value))));
  } else if (many) {
    input = el("textarea", { ...shared, rows: 2, spellcheck: "false" });
    input.value = (schema.default ?? []).join("\n");
  } else {
    const number = item.type === "integer" || item.type === "number";
    input = el("input", {
      ...shared,
      type: number ? "number" : item.format === "date" ? "date" : "text",
      step: number ? (item.type === "integer" ? 1 : "any") : undefined,
      min: item.minimum, max: item.maximum, minlength: item.minLength, maxlength: item.maxLength,
      autocomplete: "off", spellcheck: "false",
      placeholder: schema.default === undefined ? undefined : String(schema.default),
    });
  }
  const about = [hint(item), many ? (item.enum ? "any number of them" : "one on each line") : "",
    schema.default === undefined ? "" : `by default ${JSON.stringify(schema.default)}`].filter(Boolean).join("; ");
  const notes = [parameter.description, parameter.description && about ? `(${about})` : about].filter(Boolean).join(" ");
  const view = el("div", {},
    el("label", { for: id }, parameter.name, " ",
      el("span", { class: "quiet" }, `${parameter.in}${parameter.required ? ", required" : ""}`)),
    input, el("p", { class: "quiet", id: noteId }, notes));
  const read = () => {
    if (many && input.multiple) return [...input.selectedOptions].map((option) => option.value);
    if (many) return input.value.split("\n").filter((line) => line !== "");
    return input.value === "" ? [] : [input.value];
  };
  return { parameter, view, read };
}

function bodyEditor(operation, changed) {
  if (!operation.body) return null;
  const json = operation.body.content?.["application/json"];
  const id = `${operation.id}-body`;
  if (!json) {
    const input = el("input", { type: "file", id, change: changed });
    return { view: el("div", {}, el("label", { for: id }, "Body"), input), read: () => input.files[0], type: "application/octet-stream" };
  }
  const fault = el("p", { class: "fault", id: `${id}-fault`, role: "alert" });
  const text = el("textarea", { id, spellcheck: "false", "aria-describedby": `${id}-fault`, input: () => { check(); changed(); } });
  const show = (value) => {
    text.value = JSON.stringify(value, null, 2);
    text.rows = Math.min(24, Math.max(4, text.value.split("\n").length + 1));
    check();
    changed();
  };
  const check = () => {
    fault.textContent = "";
    text.removeAttribute("aria-invalid");
    if (text.value.trim() === "") return;
    try { JSON.parse(text.value); } catch (error) {
      fault.textContent = `This is not JSON: ${error.message}`;
      text.setAttribute("aria-invalid", "true");
    }
  };
  const view = el("div", {},
    el("label", { for: id }, "Body ", el("span", { class: "quiet" }, `JSON${operation.body.required ? ", required" : ""}`)),
    text, fault,
    el("div", { class: "actions" },
      el("button", { type: "button", click: () => { try { show(JSON.parse(text.value)); } catch { check(); } } }, "Format"),
      el("button", { type: "button", click: () => show(example(json.schema)) }, "Back to the example")));
  return { view, read: () => (text.value.trim() === "" ? undefined : text.value), type: "application/json", start: () => show(example(json.schema)), text };
}

/** The request that the form describes. */
function requestOf(operation, fields, body) {
  let path = operation.path;
  const query = new URLSearchParams();
  const headers = [];
  for (const { parameter, read } of fields) {
    const values = read();
    if (parameter.in === "path") {
      const value = values[0] ?? "";
      // A greedy parameter keeps its slashes. A function, because `$&` means something in a replacement text.
      const encoded = parameter["x-windlass-greedy"] ? value.split("/").map(encodeURIComponent).join("/") : encodeURIComponent(value);
      path = path.replace(`{${parameter.name}}`, () => encoded);
    } else if (parameter.in === "query") values.forEach((value) => query.append(parameter.name, value));
    else if (parameter.in === "header" && values.length) headers.push([parameter.name, values[0]]);
  }
  const content = body?.read();
  if (content !== undefined) headers.push(["Content-Type", body.type]);
  const url = state.base + path + (query.size ? `?${query}` : "");
  return { url, method: operation.method.toUpperCase(), headers, content, withToken: operation.security.length > 0 && state.token !== "" };
}

const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function curl(request, token) {
  const parts = [`curl -i ${request.method === "GET" ? "" : `-X ${request.method} `}${shell(request.url)}`];
  if (request.withToken) parts.push(`-H ${token ? shell(`Authorization: Bearer ${token}`) : '"Authorization: Bearer $TOKEN"'}`);
  for (const [name, value] of request.headers) parts.push(`-H ${shell(`${name}: ${value}`)}`);
  if (request.content instanceof File) parts.push(`--data-binary ${shell(`@${request.content.name}`)}`);
  else if (request.content !== undefined) parts.push(`--data-raw ${shell(request.content)}`);
  return parts.join(" \\\n  ");
}

function card(operation) {
  const command = el("pre", { tabindex: 0, role: "region", "aria-label": "The same request as a curl command" });
  const withToken = el("button", { type: "button" }, "Copy with the token");
  const changed = () => {
    const request = requestOf(operation, fields, body);
    command.textContent = curl(request, "");
    withToken.hidden = !request.withToken;
  };
  const fields = operation.parameters.filter((one) => one.in !== "cookie").map((one) => field(operation, one));
  const body = bodyEditor(operation, () => changed());
  const said = el("span", { class: "quiet", role: "status" });
  const copy = async (token) => {
    try {
      await navigator.clipboard.writeText(curl(requestOf(operation, fields, body), token));
      said.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(command);
      said.textContent = "Selected: press Ctrl+C or ⌘C to copy.";
    }
  };
  withToken.addEventListener("click", () => copy(state.token));
  const send = el("button", { class: "send" }, "Send");
  const result = el("section", { "aria-label": "Answer", "aria-live": "polite" });
  const form = el("form", {
    input: changed,
    submit: (event) => { event.preventDefault(); run(operation, requestOf(operation, fields, body), send, result, body); },
    keydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); } },
  },
  fields.length ? el("h3", {}, "Parameters") : null,
  fields.length ? el("div", { class: "fields" }, ...fields.map((one) => one.view)) : null,
  body ? el("h3", {}, "Body") : null, body?.view,
  el("div", { class: "actions" }, send, el("span", { class: "quiet" }, "or Ctrl+Enter")));
  body?.start?.();
  changed();
  state.refresh.push(changed);
  const access = operation.security.length ? (Object.values(operation.security[0])[0]?.join(" or ") || "signed in") : "public";
  return el("details", { class: "operation", id: `op-${operation.id}` },
    el("summary", {},
      el("span", { class: `method ${operation.method}` }, operation.method.toUpperCase()),
      el("span", { class: "path" }, operation.path),
      el("span", { class: "about" }, operation.summary),
      el("span", { class: "badge" }, access)),
    el("div", { class: "inside" },
      operation.description ? el("p", { class: "described" }, operation.description) : null,
      form, result,
      el("h3", {}, "The same with curl"), command,
      el("div", { class: "actions" }, el("button", { type: "button", click: () => copy("") }, "Copy"), withToken, said),
      el("h3", {}, "Possible answers"), answers(operation)));
}

function answers(operation) {
  return el("dl", { class: "answers" }, ...Object.entries(operation.responses).flatMap(
    ([status, response]) => [el("dt", {}, status), el("dd", {}, resolve(response).description ?? "")]));
}

// ---- sending

async function run(operation, request, send, result, body) {
  if (send.getAttribute("aria-disabled") === "true") return;
  if (body?.text?.getAttribute("aria-invalid") === "true") { body.text.focus(); return; }
  send.setAttribute("aria-disabled", "true");
  result.replaceChildren(el("h3", {}, "Answer"), el("p", {}, "Waiting …"));
  const started = performance.now();
  try {
    const headers = new Headers(request.headers);
    if (request.withToken) headers.set("Authorization", `Bearer ${state.token}`);
    const response = await fetch(request.url, {
      method: request.method, headers, body: request.content, credentials: "omit", cache: "no-store",
    });
    const content = await response.arrayBuffer();
    show(operation, response, content, performance.now() - started, result);
  } catch (error) {
    result.replaceChildren(el("h3", {}, "Answer"), el("p", { class: "fault" },
      `No answer: ${error.message}. Is the system running, and is ${new URL(request.url).origin} the same origin as this page?`));
  } finally {
    send.removeAttribute("aria-disabled");
  }
}

function show(operation, response, content, milliseconds, result) {
  const { text, value } = readable(response.headers.get("content-type") ?? "", content);
  const size = content.byteLength < 1024 ? `${content.byteLength} bytes` : `${(content.byteLength / 1024).toFixed(1)} KiB`;
  const token = value && typeof value === "object" && typeof value.access_token === "string" ? value.access_token : null;
  const use = token ? el("button", { type: "button", click: () => {
    setToken(token);
    use.replaceWith(el("span", { class: "quiet", role: "status" }, "In use."));
  } }, "Use this token") : null;
  result.replaceChildren(...[
    el("h3", {}, "Answer"),
    el("p", { class: `status ${response.ok ? "good" : "bad"}` }, `${response.status} ${response.statusText || meaning(operation, response.status)}`),
    el("p", { class: "quiet" }, `${Math.round(milliseconds)} ms, ${size}`),
    use ? el("div", { class: "actions" }, use) : null,
    el("details", {}, el("summary", {}, "Headers"),
      el("pre", { tabindex: 0 }, [...response.headers].map(([name, one]) => `${name}: ${one}`).join("\n"))),
    text ? el("pre", { tabindex: 0, role: "region", "aria-label": "Body of the answer" }, text) : el("p", { class: "quiet" }, "No body."),
  ].filter(Boolean));
}

function meaning(operation, status) {
  return resolve(operation.responses[status]).description ?? "";
}

function readable(type, content) {
  if (!content.byteLength) return { text: "", value: null };
  if (!/json|^text\/|xml|javascript|x-www-form-urlencoded/.test(type)) return { text: `${content.byteLength} bytes of ${type || "something"}`, value: null };
  const text = new TextDecoder().decode(content);
  if (!/json/.test(type)) return { text, value: null };
  try {
    const value = JSON.parse(text);
    return { text: JSON.stringify(value, null, 2), value };
  } catch {
    return { text, value: null };
  }
}

// ---- the page

function openTarget() {
  const target = location.hash.startsWith("#op-") ? byId(decodeURIComponent(location.hash.slice(1))) : null;
  if (!target) return;
  target.open = true;
  target.scrollIntoView();
  target.querySelector("summary").focus({ preventScroll: true });
}

function build(description) {
  const operations = operationsOf(description);
  const title = description.info?.title ?? "API";
  document.title = `${title} API`;
  byId("title").textContent = title;
  byId("about").textContent = description.info?.description ?? "";
  const index = byId("index");
  const main = byId("operations");
  const tags = [...new Set(operations.map((operation) => operation.tag))];
  main.replaceChildren();
  for (const tag of tags) {
    const about = description.tags?.find((one) => one.name === tag)?.description;
    if (tags.length > 1) {
      index.append(el("li", { class: "tag" }, tag));
      main.append(el("h2", {}, tag));
      if (about) main.append(el("p", { class: "quiet" }, about));
    }
    for (const operation of operations.filter((one) => one.tag === tag)) {
      index.append(el("li", {}, el("a", { href: `#op-${encodeURIComponent(operation.id)}`, click: () => setTimeout(openTarget) },
        el("span", { class: `method ${operation.method}` }, operation.method.toUpperCase()), el("span", { class: "path" }, operation.path))));
      main.append(card(operation));
    }
  }
  if (!operations.length) main.append(el("p", {}, "The document has no operations."));
  prepareIdentity(operations);
  addEventListener("hashchange", openTarget);
  openTarget();
}

async function start() {
  const source = new URL("../_openapi.json", location.href);
  try {
    const response = await fetch(source, { cache: "no-store", credentials: "omit" });
    if (!response.ok) throw new Error(`${source.pathname} answered ${response.status}`);
    state.document = await response.json();
    state.base = new URL(state.document.servers?.[0]?.url ?? "/", source).href.replace(/\/$/, "");
    build(state.document);
  } catch (error) {
    byId("operations").replaceChildren(el("p", { class: "fault", role: "alert" }, `The document cannot be shown: ${error.message}`));
  }
}

start();
