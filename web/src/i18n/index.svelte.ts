import en from './en.json';

type Raw = keyof typeof en;
/** A text of the app: what stands before `#` where there are forms for numbers. */
export type Key = Raw extends infer K ? (K extends `${infer Base}#${string}` ? Base : K) : never;
type Texts = Record<string, string>;

export const LANGUAGES = { en: 'English', fr: 'Français', fa: 'فارسی' } as const;
export type Language = keyof typeof LANGUAGES;

const loaders: Record<Exclude<Language, 'en'>, () => Promise<{ default: Texts }>> = {
  fr: () => import('./fr.json'),
  fa: () => import('./fa.json'),
};

let texts = $state.raw<Texts>(en);
let language = $state<Language>('en');
/** With the region of the browser, if it has the same language: it tells how times are written. */
const locale = $derived(navigator.languages?.find((one) => one.split('-')[0] === language) ?? language);
const formats = $derived({
  plural: new Intl.PluralRules(language),
  number: new Intl.NumberFormat(locale),
  percent: new Intl.NumberFormat(locale, { style: 'percent' }),
  time: new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' }),
  day: new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long' }),
  dayOfYear: new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long', year: 'numeric' }),
  short: new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' }),
  full: new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'medium' }),
  weekday: new Intl.DateTimeFormat(locale, { weekday: 'short' }),
  relative: new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }),
  list: new Intl.ListFormat(locale),
  size: new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }),
});

export const lang = () => language;

/** The language that suits the browser best. */
export function preferred(): Language {
  for (const wish of navigator.languages ?? [navigator.language]) {
    const base = wish.split('-')[0] as Language;
    if (base in LANGUAGES) return base;
  }
  return 'en';
}

export async function setLanguage(next: Language): Promise<void> {
  texts = next === 'en' ? en : (await loaders[next]()).default;
  language = next;
  const root = document.documentElement;
  root.lang = next;
  root.dir = next === 'fa' ? 'rtl' : 'ltr';
}

const LEFT = /[A-Za-z\u00c0-\u02af\u0370-\u052f]/;
const RIGHT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;
const OPEN = String.fromCharCode(0x2068);
const SHUT = String.fromCharCode(0x2069);
/** Words of the other direction, so that they do not turn the sentence around. */
const isolated = (words: string) => ((language === 'fa' ? LEFT : RIGHT).test(words) ? OPEN + words + SHUT : words);

/** A text in the person's language; `{name}` in it is replaced, numbers as they write them. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  const n = values.n;
  let text = texts[key];
  if (typeof n === 'number') text = texts[`${key}#${formats.plural.select(n)}`] ?? texts[`${key}#other`] ?? text;
  return (text ?? key).replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === 'number' ? formats.number.format(value) : isolated(value);
  });
}

/** Whether there is a text of that name: for codes that the node may know more of than we do. */
export const known = (key: string): key is Key => key in texts || `${key}#other` in texts;

export const number = (value: number) => formats.number.format(value);
export const percent = (part: number) => formats.percent.format(part);
export const list = (words: string[]) => formats.list.format(words);
export const clock = (seconds: number) => formats.time.format(seconds * 1000);
/** Today where the person is, as a field for dates wants it. */
export function today(): string {
  const now = new Date();
  return [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((part) => String(part).padStart(2, '0')).join('-');
}
export const fullDate = (millis: number) => formats.full.format(millis);

const DAY = 86_400_000;
const midnight = (millis: number) => new Date(millis).setHours(0, 0, 0, 0);
const daysAgo = (millis: number) => Math.round((midnight(Date.now()) - midnight(millis)) / DAY);

const capital = (text: string) => text.charAt(0).toLocaleUpperCase(language) + text.slice(1);

/** A day as a heading. */
export function day(seconds: number): string {
  const ago = daysAgo(seconds * 1000);
  if (ago >= -1 && ago <= 1) return capital(formats.relative.format(-ago, 'day'));
  return (ago < 300 && ago > 0 ? formats.day : formats.dayOfYear).format(seconds * 1000);
}

/** When, as short as can be: the time today, else the day. */
export function brief(seconds: number): string {
  const ago = daysAgo(seconds * 1000);
  if (ago <= 0) return clock(seconds);
  if (ago < 7) return formats.weekday.format(seconds * 1000);
  return (ago < 300 ? formats.short : formats.dayOfYear).format(seconds * 1000);
}

/** How long ago or ahead. */
export function relative(millis: number): string {
  const seconds = (millis - Date.now()) / 1000;
  const steps: [Intl.RelativeTimeFormatUnit, number][] = [['day', 86400], ['hour', 3600], ['minute', 60]];
  for (const [unit, length] of steps) if (Math.abs(seconds) >= length) return formats.relative.format(Math.round(seconds / length), unit);
  return formats.relative.format(Math.round(seconds), 'second');
}

/** A length of time, as rough as one says it. */
export function span(seconds: number): string {
  const steps: [string, number][] = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];
  const [unit, length] = steps.find(([, length]) => Math.abs(seconds) >= 2 * length) ?? steps[3]!;
  return new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'long' }).format(Math.round(seconds / length));
}

/** A number of bytes. */
export function size(bytes: number): string {
  const units = ['unit.b', 'unit.kb', 'unit.mb', 'unit.gb', 'unit.tb'] as const;
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return t(units[unit]!, { value: formats.size.format(value) });
}
