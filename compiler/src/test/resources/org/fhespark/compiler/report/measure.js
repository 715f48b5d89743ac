// What looks wrong in a report as the browser laid it out, one line each.
const found = [];
const near = 0.5;

function inside(part, whole) {
  return part.left >= whole.left - near && part.right <= whole.right + near
      && part.top >= whole.top - near && part.bottom <= whole.bottom + near;
}

function overlap(one, other) {
  return one.left < other.right - near && other.left < one.right - near
      && one.top < other.bottom - near && other.top < one.bottom - near;
}

function measured(selector, root = document) {
  return [...root.querySelectorAll(selector)].map(
      element => ({element, text: element.textContent, box: element.getBoundingClientRect()}));
}

const page = document.documentElement;
if (page.scrollWidth > page.clientWidth) {
  found.push(`the page is ${page.scrollWidth} px wide, the window ${page.clientWidth}`);
}
for (const element of document.querySelectorAll('h1, h2, h3, h4, p, li, dt, dd, figcaption, td, th')) {
  if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0) {
    found.push(`text overflows its ${element.tagName}: ${element.textContent}`);
  }
}
for (const fact of document.querySelectorAll('.facts div')) {
  const [name, value] = [...fact.children].map(child => child.getBoundingClientRect());
  if (overlap(name, value)) {
    found.push(`a fact's name and value overlap: ${fact.textContent}`);
  }
}
for (const svg of document.querySelectorAll('svg')) {
  const frame = svg.getBoundingClientRect();
  const texts = measured('text', svg);
  for (const text of texts) {
    if (text.box.width === 0) {
      found.push(`a text is not drawn: ${text.text}`);
    }
    if (!inside(text.box, frame)) {
      found.push(`a text leaves its drawing: ${text.text}`);
    }
  }
  for (let i = 0; i < texts.length; i++) {
    for (let j = i + 1; j < texts.length; j++) {
      if (overlap(texts[i].box, texts[j].box)) {
        found.push(`texts overlap: ${texts[i].text} and ${texts[j].text}`);
      }
    }
  }
}
for (const svg of document.querySelectorAll('svg.graph')) {
  const frame = svg.getBoundingClientRect();
  const view = svg.viewBox.baseVal;
  const scale = frame.width / view.width;
  const boxes = measured('.box', svg).map(
      group => ({...group, box: group.element.querySelector('rect').getBoundingClientRect()}));
  for (const group of boxes) {
    for (const text of measured('text', group.element)) {
      if (!inside(text.box, group.box)) {
        found.push(`a text leaves its box: ${text.text}`);
      }
    }
  }
  for (let i = 0; i < boxes.length; i++) {
    for (let j = i + 1; j < boxes.length; j++) {
      if (overlap(boxes[i].box, boxes[j].box)) {
        found.push(`boxes overlap: ${boxes[i].text} and ${boxes[j].text}`);
      }
    }
  }
  const labels = measured('.label text', svg);
  for (const label of labels) {
    for (const group of boxes) {
      if (overlap(label.box, group.box)) {
        found.push(`a label lies on a box: ${label.text} on ${group.text}`);
      }
    }
  }
  const obstacles = [...labels, ...boxes];
  for (const path of svg.querySelectorAll('.line path:not(.mark)')) {
    const length = path.getTotalLength();
    // Not the ends, which touch the boxes that they join.
    for (let at = 2; at < length - 2; at += 3) {
      const point = path.getPointAtLength(at);
      const x = frame.left + (point.x - view.x) * scale;
      const y = frame.top + (point.y - view.y) * scale;
      const hit = obstacles.find(({box}) => x > box.left + near && x < box.right - near
          && y > box.top + near && y < box.bottom - near);
      if (hit) {
        found.push(`a line crosses ${hit.text}`);
        break;
      }
    }
  }
}
return found;
