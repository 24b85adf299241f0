// Bring what is shown up to date without building it anew: focus, open details, fields, scroll and charts stay.

/** Elements whose own state belongs to the person who looks, and attributes that carry it. */
const THEIRS = { DETAILS: ["open"], DIALOG: ["open"] };
const FIELDS = new Set(["INPUT", "TEXTAREA", "SELECT"]);

/**
 * Make the children of an element those given. A child takes the place of the one with its `data-key`, or else of the
 * next one of its kind without a key. With `data-keep` the one that stands there stays whole, and is found as `kept`.
 */
export function patch(element, ...children) {
  const fresh = document.createDocumentFragment();
  for (const child of children.flat(4))
    if (child !== null && child !== undefined && child !== false)
      fresh.append(child instanceof Node ? child : String(child));
  const focused = document.activeElement;
  reconcile(element, fresh);
  // one that was moved to another place has lost it on the way
  if (focused instanceof HTMLElement && focused !== document.activeElement && element.contains(focused))
    focused.focus({ preventScroll: true });
  return element;
}

const keyOf = (node) => (node instanceof Element ? node.getAttribute("data-key") : null);

function reconcile(old, fresh) {
  const keyed = new Map();
  for (const node of old.childNodes) if (keyOf(node) !== null) keyed.set(keyOf(node), node);
  const wanted = new Set([...fresh.childNodes].map(keyOf));
  let at = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const key = keyOf(node);
    // whatever has a key that is not wanted any more goes, as soon as it is met
    while (at && keyOf(at) !== null && !wanted.has(keyOf(at))) at = dropped(at);
    let found = key === null ? at : keyed.get(key);
    if (key === null) while (found && keyOf(found) !== null) found = found.nextSibling;
    if (found && alike(found, node)) {
      if (found === at) at = at.nextSibling;
      else old.insertBefore(found, at);
      renew(found, node);
    } else old.insertBefore(node, at);
  }
  while (at) at = dropped(at);
}

function dropped(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

const alike = (old, fresh) => old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName;

function renew(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (fresh.hasAttribute("data-keep") && old.hasAttribute("data-keep")) {
    fresh.kept = old;
    return;
  }
  const theirs = THEIRS[old.nodeName] ?? [];
  for (const { name, value } of [...fresh.attributes])
    if (!theirs.includes(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes])
    // a heading that has the focus keeps what lets it have it
    if (!theirs.includes(name) && name !== "tabindex" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const [type, call] of Object.entries(fresh.calls ?? {})) {
    old.calls ??= {};
    if (!old.calls[type]) old.addEventListener(type, (event) => old.calls[type]?.(event));
    old.calls[type] = call;
  }
  for (const type of Object.keys(old.calls ?? {})) if (!fresh.calls?.[type]) old.calls[type] = undefined;
  if (!FIELDS.has(old.nodeName)) return reconcile(old, fresh);
  // what somebody types or chooses at this moment is theirs
  const value = old === document.activeElement ? old.value : fresh.value;
  if (old.nodeName === "SELECT") reconcile(old, fresh);
  if (old.type === "checkbox") old.checked = fresh.checked;
  else if (old.value !== value) old.value = value;
}
