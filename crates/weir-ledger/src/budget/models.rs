//! W-100: the table of reservations in every order in which its locks can be taken: calls that reserve in two budgets,
//! pay, cancel and grow, while the worker leases and gives back. The code is the real one; only the lock asks who goes on.

use std::sync::Arc;

use uuid::Uuid;

use super::account::Short;
use super::authority::Debits;
use super::table::Table;
use super::*;
use crate::sync::model::{Steps, every_order};

const NOW: i64 = 1_800_000_000_000_000;
const ONE: Uuid = Uuid::from_u128(1);
const GATEWAY: i64 = 30;
const KEY: i64 = 20;

struct Books {
    table: Table,
    authority: MemoryAuthority,
    budgets: Vec<Arc<Budget>>,
}

impl Books {
    fn new() -> Arc<Books> {
        let budget =
            |id: &str, limit| Arc::new(Budget::new(id.into(), Scope::Key(id.into()), limit, Period::Day));
        let budgets = vec![budget("gateway", GATEWAY), budget("key", KEY)];
        Arc::new(Books { table: Table::new(ONE), authority: MemoryAuthority::new(), budgets })
    }

    /// One exchange with the store, if there is anything to ask.
    fn exchange(&self) -> bool {
        let Some((exchange, asked)) = self.table.ask() else { return false };
        let reports = self.authority.exchange_now(&exchange);
        self.table.answered(&exchange, &asked, &reports, 0);
        true
    }

    fn reserve(&self, amount: i64) -> Option<Reservation> {
        let short = match self.table.try_reserve(&self.budgets, amount, NOW, 0) {
            Ok(reservation) => return Some(reservation),
            Err((_, Short::Spent)) => return None,
            Err((account, _)) => account,
        };
        // It waits in the line, and looks once more.
        let ticket = self.table.ticket();
        short.enlist(ticket, amount);
        let reservation = self.table.try_reserve(&self.budgets, amount, NOW, 0).ok();
        short.delist(ticket);
        reservation
    }

    fn pay(&self, reservation: Reservation, cost: i64) {
        let mut debits = Debits::default();
        debits.add(&reservation.charges(), Some(cost));
        reservation.settle(cost);
        self.authority.charge(Some(ONE), &debits);
    }

    /// At rest nothing is held or leased, nothing was overspent, and what is left can be had, all of it and no more.
    fn settled(&self) {
        assert_eq!(self.table.held(), 0);
        let (key, gateway) = (self.authority.spent_ever("key"), self.authority.spent_ever("gateway"));
        assert!(key <= KEY && key == gateway, "{key} of {KEY}, {gateway} of {GATEWAY}");
        self.give_back();
        assert_eq!((self.authority.leased("key"), self.authority.leased("gateway")), (0, 0));
        assert!(self.whole(KEY - key).is_some(), "what is left can't be had");
        assert!(self.whole(KEY - key + 1).is_none(), "more than what is left");
    }

    /// Reserves as one that waits in all lines: asks the store as often as it helps.
    fn whole(&self, amount: i64) -> Option<Reservation> {
        let accounts: Vec<_> = self.budgets.iter().map(|budget| self.table.look_up(budget)).collect();
        let ticket = self.table.ticket();
        for account in accounts.iter() {
            account.enlist(ticket, amount);
        }
        let mut reservation = None;
        for _ in 0..6 {
            reservation = self.table.try_reserve(&self.budgets, amount, NOW, 0).ok();
            if reservation.is_some() {
                break;
            }
            while self.exchange() {}
            self.table.ask_again(NOW);
        }
        accounts.iter().for_each(|account| account.delist(ticket));
        reservation
    }

    fn give_back(&self) {
        for _ in 0..4 {
            self.table.give_back_all();
            while self.exchange() {}
        }
    }
}

fn thread(books: &Arc<Books>, steps: impl FnOnce(&Books) + Send + 'static) -> Steps {
    let books = books.clone();
    Box::new(move || steps(&books))
}

/// What one thread of a model does.
type Part = fn(&Books);

/// `leased`: something is at hand already, so that the calls need not wait for the store.
fn model(leased: bool, changes: usize, calls: &[Part]) -> usize {
    every_order(
        changes,
        || {
            let books = Books::new();
            if leased {
                drop(books.whole(10));
                // What is left to ask stands in the order of a map.
                while books.exchange() {}
            }
            let threads = calls.iter().map(|call| thread(&books, *call)).collect();
            (books.clone(), threads)
        },
        |books| books.settled(),
    )
}

fn pays_all(books: &Books) {
    if let Some(reservation) = books.reserve(10) {
        books.pay(reservation, 10);
    }
}

fn pays_less(books: &Books) {
    if let Some(reservation) = books.reserve(10) {
        books.pay(reservation, 3);
    }
}

fn cancels(books: &Books) {
    drop(books.reserve(15));
}

fn grows(books: &Books) {
    if let Some(mut reservation) = books.reserve(5) {
        let cost = if reservation.grow(5) { 10 } else { 5 };
        books.pay(reservation, cost);
    }
}

fn gives_back(books: &Books) {
    // Not of all at once: that goes through a map, whose order is not the same in each run.
    books.budgets.iter().for_each(|budget| books.table.account(budget).give_back());
    books.exchange();
}

fn worker(books: &Books) {
    books.exchange();
    books.exchange();
}

#[test]
fn w100_no_order_of_locks_overspends_or_loses_anything() {
    const ALL: usize = usize::MAX;
    let models: [(bool, usize, &[Part]); 8] = [
        (true, ALL, &[pays_all, pays_less]),
        (true, ALL, &[grows, cancels]),
        (false, ALL, &[pays_less, worker]),
        (true, ALL, &[grows, worker]),
        (true, ALL, &[pays_all, gives_back]),
        (true, 3, &[pays_all, pays_less, worker]),
        (true, 3, &[grows, cancels, gives_back]),
        (false, 3, &[pays_all, cancels, worker]),
    ];
    let mut orders = 0;
    for (leased, changes, calls) in models {
        let of_these = model(leased, changes, calls);
        println!("{} threads: {of_these} orders", calls.len());
        orders += of_these;
    }
    assert!(orders > 1_000, "{orders}");
}
