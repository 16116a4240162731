// A small, safe part of Markdown, as a tree: nothing of a message ever becomes HTML.

export type Inline =
  | { kind: 'text'; text: string }
  | { kind: 'code'; text: string }
  | { kind: 'bold'; inner: Inline[] }
  | { kind: 'italic'; inner: Inline[] }
  | { kind: 'strike'; inner: Inline[] }
  | { kind: 'link'; href: string; text: string };

export type Block =
  | { kind: 'paragraph' | 'quote'; lines: Inline[][] }
  | { kind: 'code'; text: string }
  | { kind: 'list'; ordered: boolean; start: number; items: Inline[][] };

const URL_END = /[.,;:!?'"»”)\]}>؟،؛]+$/;
const PATTERN =
  /`([^`\n]+)`|\*\*(?=\S)([^\n]+?)(?<=\S)\*\*|~~(?=\S)([^\n]+?)(?<=\S)~~|(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])|(?<!\w)_(?=\S)([^_\n]+?)(?<=\S)_(?!\w)|\[([^\]\n]{1,300})\]\((https?:\/\/[^\s)]+)\)|(https?:\/\/[^\s<>]+)/g;
const DEEPEST = 6;

export function inline(text: string, depth = 0): Inline[] {
  if (depth > DEEPEST) return [{ kind: 'text', text }];
  const out: Inline[] = [];
  let end = 0;
  const put = (piece: string) => piece && out.push({ kind: 'text', text: piece });
  for (const match of text.matchAll(PATTERN)) {
    put(text.slice(end, match.index));
    end = match.index + match[0].length;
    const [, code, bold, strike, star, under, label, target, bare] = match;
    if (code !== undefined) out.push({ kind: 'code', text: code });
    else if (bold !== undefined) out.push({ kind: 'bold', inner: inline(bold, depth + 1) });
    else if (strike !== undefined) out.push({ kind: 'strike', inner: inline(strike, depth + 1) });
    else if (star ?? under) out.push({ kind: 'italic', inner: inline((star ?? under)!, depth + 1) });
    else if (target !== undefined) link(out, target, label!);
    else {
      const url = bare!.replace(URL_END, '');
      link(out, url, url);
      end -= bare!.length - url.length;
    }
  }
  put(text.slice(end));
  return out;
}

function link(out: Inline[], target: string, text: string): void {
  try {
    const url = new URL(target);
    // Shown is what it leads to, so that a label cannot lie.
    const lies = text !== target && /^\w+:\/\//.test(text);
    if (/^https?:$/.test(url.protocol)) out.push({ kind: 'link', href: url.href, text: lies ? target : text });
    else out.push({ kind: 'text', text });
  } catch {
    out.push({ kind: 'text', text });
  }
}

export function blocks(source: string): Block[] {
  const out: Block[] = [];
  const lines = source.replace(/\r\n?/g, '\n').split('\n');
  for (let at = 0; at < lines.length; ) {
    const line = lines[at]!;
    if (line.startsWith('```')) {
      const end = lines.findIndex((other, place) => place > at && other.startsWith('```'));
      if (end > 0) {
        out.push({ kind: 'code', text: lines.slice(at + 1, end).join('\n') });
        at = end + 1;
        continue;
      }
    }
    const item = /^\s{0,3}(?:[-*•]|(\d{1,6})[.)])\s+\S/.exec(line);
    if (item) {
      const ordered = item[1] !== undefined;
      const of = ordered ? /^\s{0,3}\d{1,6}[.)]\s+(\S.*)$/ : /^\s{0,3}[-*•]\s+(\S.*)$/;
      const items: Inline[][] = [];
      for (let found; at < lines.length && (found = of.exec(lines[at]!)); at++) items.push(inline(found[1]!));
      out.push({ kind: 'list', ordered, start: Number(item[1] ?? 1), items });
      continue;
    }
    const kind = line.startsWith('> ') ? 'quote' : 'paragraph';
    if (!line.trim()) {
      at++;
      continue;
    }
    const taken: Inline[][] = [];
    while (at < lines.length) {
      const next = lines[at]!;
      const quoted = next.startsWith('> ');
      if (!next.trim() || quoted !== (kind === 'quote')) break;
      if (taken.length && (next.startsWith('```') || /^\s{0,3}([-*•]|\d{1,6}[.)])\s+\S/.test(next))) break;
      taken.push(inline(quoted ? next.slice(2) : next));
      at++;
    }
    out.push({ kind, lines: taken });
  }
  return out;
}

/** Whether a text is nothing but a few emoji, which are shown large. */
export function emojiOnly(text: string): boolean {
  const trimmed = text.trim();
  return trimmed.length > 0 && trimmed.length <= 24 && /^(?:\p{Extended_Pictographic}[\u{1f3fb}-\u{1f3ff}\u200d\ufe0f]*|\p{Regional_Indicator}{2}|\s)+$/u.test(trimmed);
}
