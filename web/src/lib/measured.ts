import type { Measured } from '../api/types';
import { number, size, span, t } from '../i18n/index.svelte';

/** What was measured, as people write it. */
export function amount({ unit, value }: Pick<Measured, 'unit' | 'value'>): string {
  const digits = Number(value);
  switch (unit) {
    case 'count':
      return number(digits);
    case 'bytes':
      return size(digits);
    case 'milliseconds':
      return t('unit.ms', { value: number(digits) });
    case 'seconds':
      return span(digits);
    default:
      return value;
  }
}
